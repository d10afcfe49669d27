//! How a worker's free slots are shared out.

/// How many slots each gets, of those who wait in the order of their turns with room for so many.
/// Nobody gets a second slot while another who has room has none, and so on; what is left goes to
/// those whose turn it is first.
pub(crate) fn share(rooms: &[u32], slots: u32) -> Vec<u32> {
    let mut shares = vec![0; rooms.len()];
    let mut left = slots;
    while left > 0 {
        let open = rooms.iter().zip(&shares).filter(|(room, share)| share < room).count();
        let Ok(open @ 1..) = u32::try_from(open) else { break };
        let each = (left / open).max(1);
        for (share, room) in shares.iter_mut().zip(rooms) {
            let more = each.min(room - *share).min(left);
            *share += more;
            left -= more;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_flood_takes_what_others_leave() {
        assert_eq!(share(&[100_000, 1, 0, 3], 10), [6, 1, 0, 3]);
        assert_eq!(share(&[5, 5, 5], 2), [1, 1, 0]);
        assert_eq!(share(&[], 5), [0; 0]);
    }

    proptest! {
        #[test]
        fn nobody_has_two_more_than_one_who_could_have_more(
            rooms in prop::collection::vec(0_u32..50, 0..40),
            slots in 0_u32..300,
        ) {
            let shares = share(&rooms, slots);
            let given: u32 = shares.iter().sum();
            prop_assert_eq!(given, slots.min(rooms.iter().sum()), "no slot is wasted");
            for (place, (mine, room)) in shares.iter().zip(&rooms).enumerate() {
                prop_assert!(mine <= room);
                for (other, theirs) in shares.iter().enumerate() {
                    let could_have_more = mine < room;
                    prop_assert!(!could_have_more || *theirs <= mine + 1);
                    let first = place < other && could_have_more;
                    prop_assert!(!first || theirs <= mine, "turns are kept");
                }
            }
        }
    }
}
