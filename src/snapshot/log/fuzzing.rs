//! Doors into the log's decoders.

use super::entry::Codec;
use super::frame::{self, Kind};
use super::{Entry, Replay};

const RUN: &str = "run-4";
/// What is held of a job grows with its ops, which batches bound in a real log.
const MOST_OPS: usize = 1 << 20;

/// A log file of the run `run-4`: its sound part alone says the same as all of it.
pub fn log(bytes: &[u8]) -> bool {
    let Ok(whole) = Replay::read_from(bytes, RUN) else { return false };
    assert_eq!(whole.len() + whole.lost_tail(), bytes.len() as u64);
    let sound = usize::try_from(whole.len()).ok().and_then(|len| bytes.get(..len));
    let sound = sound.and_then(|sound| Replay::read_from(sound, RUN).ok());
    let said = |replay: &Replay| (replay.digest(), replay.frames(), replay.sealed(), replay.committed());
    assert_eq!(sound.map(|sound| (said(&sound), sound.lost_tail())), Some((said(&whole), 0)));
    true
}

/// The payload of a frame whose checksum fits.
pub fn log_entries(payload: &[u8]) -> bool {
    let (mut rest, mut reader, mut writer, mut again) = (payload, Codec::default(), Codec::default(), Codec::default());
    let mut ops = 0;
    while !rest.is_empty() {
        let Some(entry) = reader.decode(&mut rest) else { return false };
        let mut bytes = Vec::new();
        writer.encode(&entry, &mut bytes);
        assert_eq!(again.decode(&mut bytes.as_slice()).as_ref(), Some(&entry));
        match &entry {
            Entry::Intent { ops: more } | Entry::Ticket { ops: more, .. } => ops += more.len(),
            // No plan has such a number: the replay refuses it.
            Entry::Ack { op, .. } if u32::try_from(*op).is_err() => return false,
            _ => {}
        }
        if ops > MOST_OPS {
            return false;
        }
    }
    let seed = frame::seed(RUN);
    let log =
        [frame::header(RUN), frame::frame(seed, Kind::Entries, 0, payload), frame::frame(seed, Kind::Seal, 1, &[])];
    let replay = Replay::read_from(log.concat().as_slice(), RUN);
    assert!(replay.is_ok_and(|replay| replay.sealed().is_some()));
    true
}
