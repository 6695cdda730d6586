//! A plan → verdicts: a pure state machine and its thin driver.
