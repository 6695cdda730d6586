//! The suite that every destination passes.
//!
//! A vendor's tests say how to prepare the destination, which batches fit it and how the vendor's answers
//! look ([`Subject`], [`HttpSubject`]); the suite asks the questions. One line makes a test of each:
//!
//! ```text
//! backhaul_kit::contract_tests!(Hubspot::default());       // every destination
//! backhaul_kit::http_contract_tests!(Hubspot::default());  // those that speak HTTP
//! backhaul_kit::http_contract_tests!(jobs: Zendesk::default());  // and, besides, those whose calls become jobs
//! backhaul_kit::http_contract_tests!(finds: Hubspot::default());  // and those that look for records
//! ```
//!
//! The [`Server`] behind the HTTP part can also do what a well-behaved stand-in cannot: apply a call and lose
//! the answer, or break off in the middle of one.

mod find;
mod http;
mod jobs;
mod rows;
mod server;
mod statuses;
mod subject;
#[cfg(test)]
mod tests;
mod values;

pub use find::*;
pub use http::*;
pub use jobs::*;
pub use rows::{canary_kit, row, run};
pub use server::{Received, Reply, Scripted, Server};
pub use statuses::*;
pub use subject::*;
pub use values::*;

/// Makes a test of every question that all destinations must answer. Takes an expression that makes a
/// [`Subject`].
#[macro_export]
macro_rules! contract_tests {
    ($subject:expr) => {
        #[test]
        fn facts_are_sane() {
            $crate::contract::facts_are_sane(&$subject);
        }

        #[test]
        fn a_preview_shows_no_secret() {
            $crate::contract::a_preview_shows_no_secret(&$subject);
        }

        #[test]
        fn a_preview_is_the_same_twice() {
            $crate::contract::a_preview_is_the_same_twice(&$subject);
        }

        #[tokio::test]
        async fn an_empty_batch_changes_nothing() {
            $crate::contract::an_empty_batch_changes_nothing($subject).await;
        }
    };
}

/// Makes a test of every question that destinations over HTTP must answer. Takes an expression that makes
/// an [`HttpSubject`].
#[macro_export]
macro_rules! http_contract_tests {
    ($subject:expr) => {
        $crate::http_contract_tests!(@each $subject;
            an_empty_batch_makes_no_call
            a_preview_makes_no_call
            full_success_is_written
            a_refused_row_is_rejected_and_the_others_are_not
            no_success_is_no_row_written
            throttling_is_passed_on_with_its_wait
            an_expired_credential_is_an_auth_fault
            a_lost_answer_is_never_success
            a_truncated_answer_is_never_success
            a_server_that_cannot_be_reached_is_transient
            an_answer_that_names_no_row_leaves_all_unknown
            an_unknown_field_in_the_answer_is_ignored
            a_page_of_html_is_never_success
            an_error_of_the_server_is_ambiguous
            a_refused_call_is_no_success
            a_call_that_is_too_large_is_cut
            one_row_more_than_a_call_takes_is_cut
            throttling_is_known_in_every_form
            a_credential_that_expires_on_the_way_is_told
            whatever_text_a_row_holds_the_call_is_sound
            a_row_may_lack_any_value
            a_huge_value_stays_within_the_caps
        );
    };
    // Those whose calls become jobs besides. Takes an expression that makes a `JobSubject`.
    (jobs: $subject:expr) => {
        $crate::http_contract_tests!(@each $subject;
            a_running_job_is_asked_after_again
            a_failed_job_is_no_success
            a_forgotten_job_is_lost
            who_cannot_be_asked_after_a_job_has_not_forgotten_it
        );
    };
    // Those that look for records whose ids are not remembered, besides. Takes an expression that makes a `FindSubject`.
    (finds: $subject:expr) => {
        $crate::http_contract_tests!(@each $subject;
            a_record_that_is_found_is_written_by_its_id
            a_removal_of_a_record_that_is_nowhere_is_done
            a_question_without_an_answer_writes_nothing
        );
    };
    (@each $subject:expr; $($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::contract::$name($subject).await;
            }
        )*
    };
}
