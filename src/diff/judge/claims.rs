//! Addresses that live rows claim: removing a record by such an address would remove the row that now has it.

use backhaul_kit::Address;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Judge;
use crate::diff::{DiffError, Recall};

impl Judge<'_> {
    /// Which addresses of the records in `gone` are claimed by a live row: one of the plan, a record that `is_live`,
    /// or a record of a sibling. Deleting such an address would delete the row that now has it.
    pub(in crate::diff) fn claims(
        &mut self,
        gone: impl Iterator<Item = u64>,
        is_live: impl Fn(u64) -> bool,
    ) -> Result<Claims, DiffError> {
        let mut leaving = Vec::new();
        if self.request.keep_address {
            for ordinal in gone {
                let address = self.details.address(ordinal)?;
                leaving.extend(self.all_claims(&address));
                if self.is_netted_by_key() {
                    leaving.push(claim(KEY, &self.details.key(ordinal)?, self.seed));
                }
            }
            leaving.sort_unstable();
        }
        let mut claimed = Vec::new();
        if leaving.is_empty() {
            return Ok(Claims(claimed));
        }
        self.claimed_by_plan(&leaving, &mut claimed)?;
        // Most live records claim nothing that leaves: a few bits tell that without a search.
        let mut filter = vec![0u64; leaving.len().next_power_of_two()];
        let bit = |claim: u64, words: usize| ((claim >> 6) as usize & (words - 1), 1u64 << (claim & 63));
        for claim in &leaving {
            let (word, bit) = bit(*claim, filter.len());
            filter[word] |= bit;
        }
        let seed = self.seed;
        let hashes = self.request.hashes;
        self.details.all_addresses(|ordinal, [remote_id, match_value]| {
            let values = match_value.into_iter().flat_map(|value| parts(value, hashes));
            let claims = values.map(|value| claim(MATCH_VALUE, value, seed));
            for claim in claims.chain(remote_id.map(|id| claim(REMOTE_ID, id, seed))) {
                let (word, bit) = bit(claim, filter.len());
                if filter[word] & bit != 0 && is_live(ordinal) && leaving.binary_search(&claim).is_ok() {
                    claimed.push((claim, REMOVAL));
                }
            }
        })?;
        for sibling in self.siblings {
            let claim = |kind, text: &[u8]| claim(kind, text, seed);
            sibling.claimed(&leaving, &self.request, claim, &mut claimed)?;
        }
        claimed.sort_unstable();
        Ok(Claims(claimed))
    }
}

impl<R: Recall> Judge<'_, R> {
    /// The claims of live rows among those of records in `gone`, where the warehouse has looked through its own
    /// records: `claimed` are the addresses that others of them hold.
    pub(in crate::diff) fn claims_told(&mut self, leaving: &[u64], claimed: Vec<u64>) -> Result<Claims, DiffError> {
        let mut all: Vec<(u64, u64)> = claimed.into_iter().map(|claim| (claim, REMOVAL)).collect();
        self.claimed_by_plan(leaving, &mut all)?;
        all.sort_unstable();
        Ok(Claims(all))
    }

    /// Adds the claims of the plan's own rows among those that leave.
    fn claimed_by_plan(&mut self, leaving: &[u64], claimed: &mut Vec<(u64, u64)>) -> Result<(), DiffError> {
        let (seed, hashes) = (self.seed, self.request.hashes);
        self.plan.read_back(|op| {
            let values = op.match_value.iter().flat_map(|value| parts(value.as_bytes(), hashes));
            let claims = values.map(|value| claim(MATCH_VALUE, value, seed));
            let claims = claims.filter(|claim| leaving.binary_search(claim).is_ok());
            claimed.extend(claims.map(|claim| (claim, op.claimant())));
            true
        })?;
        Ok(())
    }

    /// The claims of an address, of each of its hashes too.
    pub(super) fn all_claims(&self, address: &Address) -> impl Iterator<Item = u64> + use<R> {
        let (seed, hashes) = (self.seed, self.request.hashes);
        let values = address.match_value.iter().flat_map(|value| parts(value.as_bytes(), hashes));
        let claims: Vec<u64> = values.map(|value| claim(MATCH_VALUE, value, seed)).collect();
        claims.into_iter().chain(address.remote_id.as_ref().map(|id| claim(REMOTE_ID, id.as_bytes(), seed)))
    }

    /// Takes the hashes that live rows claim out of an address; whether others are left.
    pub(super) fn leave_claimed(&self, address: &mut Address, live: &Claims) -> bool {
        let is_free = |hash: &&str| live.claimant(claim(MATCH_VALUE, hash.as_bytes(), self.seed)).is_none();
        let free: Vec<&str> = address.hashes().filter(is_free).collect();
        let any = !free.is_empty();
        if any {
            address.match_value = Some(free.join("\n"));
        }
        any
    }

    /// The claims of an address: of its match value and of its remote id.
    pub(in crate::diff) fn claims_of(&self, address: &Address) -> [Option<u64>; 2] {
        let seed = self.seed;
        [
            address.match_value.as_ref().map(|value| claim(MATCH_VALUE, value.as_bytes(), seed)),
            address.remote_id.as_ref().map(|id| claim(REMOTE_ID, id.as_bytes(), seed)),
        ]
    }
}

/// What of a match value is claimed by itself: hashes one by one, anything else as a whole.
pub(in crate::diff) fn parts(value: &[u8], hashes: bool) -> impl Iterator<Item = &[u8]> {
    value.split(move |byte| hashes && *byte == b'\n').filter(move |part| !hashes || !part.is_empty())
}

pub(super) fn claim(kind: u64, text: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(text, seed ^ kind)
}

/// What stands for the fingerprint in the removal of a row, and in its reject.
pub(in crate::diff) const REMOVAL: u64 = 0;
/// The kinds of claims.
pub(in crate::diff) const MATCH_VALUE: u64 = 1;
pub(in crate::diff) const REMOTE_ID: u64 = 2;
pub(in crate::diff) const KEY: u64 = 3;

/// Hashes of the addresses that live rows claim among those of records that leave, sorted, each with the
/// [`claimant`](Op::claimant).
pub(in crate::diff) struct Claims(Vec<(u64, u64)>);

impl Claims {
    /// Who claims the address; the one that has it already, if one has.
    pub(super) fn claimant(&self, claim: u64) -> Option<u64> {
        let at = self.0.partition_point(|(known, _)| *known < claim);
        self.0.get(at).filter(|(known, _)| *known == claim).map(|(_, claimant)| *claimant)
    }
}
