//! Extensions made of anything: what comes out of them lies inside what went in.

use crate::network::{Trace, error, probe_packet, router};
use crate::{a_version, drawn};
use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::extensions::{Extensions, Object};
use hopshot_core::wire::icmp::{Error, Type};
use proptest::prelude::*;

fn lies_within(part: &[u8], whole: &[u8]) -> bool {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    whole.start <= part.start && part.end <= whole.end
}

/// Reads everything there is to read.
fn read(extensions: &Extensions<'_>, message: &[u8]) -> Result<usize, TestCaseError> {
    let (mut count, mut end) = (0, message.as_ptr());
    for object in extensions.objects() {
        prop_assert!(lies_within(object.payload, message));
        prop_assert!(object.payload.as_ptr() >= end, "objects don't overlap");
        end = object.payload.as_ptr_range().end;
        if let Some(labels) = object.mpls() {
            for label in labels {
                prop_assert!(label.label < 1 << 20 && label.traffic_class < 8);
            }
        }
        if let Some(name) = object.interface().and_then(|interface| interface.name) {
            prop_assert!(lies_within(name, object.payload) && !name.contains(&0));
        }
        count += 1;
    }
    prop_assert_eq!(
        extensions.is_empty(),
        extensions.objects().next().is_none() && extensions.is_empty()
    );
    Ok(count)
}

/// An object as it should be, but for its length, which may be anything.
fn an_object() -> impl Strategy<Value = Vec<u8>> {
    let class = prop_oneof![Just(1_u8), Just(2), Just(3), any::<u8>()];
    let payload = prop::collection::vec(any::<u8>(), 0..40);
    let wrong = prop_oneof![4 => Just(None), 1 => (0..8_u16).prop_map(Some), 1 => any::<u16>().prop_map(Some)];
    (class, any::<u8>(), payload, wrong).prop_map(|(class, kind, payload, wrong)| {
        let length = wrong.unwrap_or(u16::try_from(payload.len()).unwrap() + 4);
        [&length.to_be_bytes()[..], &[class, kind], &payload].concat()
    })
}

/// A structure, its version mostly right, its checksum right, zero or wrong.
fn a_structure() -> impl Strategy<Value = Vec<u8>> {
    let family = prop_oneof![4 => Just([0x20, 0]), 1 => Just([0x02, 0]), 1 => any::<[u8; 2]>()];
    let checksum =
        prop_oneof![4 => Just(None), 1 => Just(Some(0)), 1 => any::<u16>().prop_map(Some)];
    let objects = prop::collection::vec(an_object(), 0..6);
    (family, checksum, objects).prop_map(|(family, checksum, objects)| {
        let mut octets = [&family[..], &[0, 0], &objects.concat()].concat();
        let checksum = checksum.unwrap_or_else(|| Checksum::new().with(&octets).finish());
        octets[2..4].copy_from_slice(&checksum.to_be_bytes());
        octets
    })
}

proptest! {
    #![proptest_config(drawn(600))]

    #[test]
    fn whatever_follows_the_quote_the_answer_is_read_and_no_slice_leaves_the_message(
        family in a_version(),
        padded in prop_oneof![Just(128_usize), 72..200_usize],
        rest in prop_oneof![Just(0_u32), Just(0x0020_0000), Just(0x1000_0000), any::<u32>()],
        structure in a_structure(),
        cut in prop_oneof![3 => Just(0_usize), 1 => 0..40_usize],
    ) {
        let mut quote = probe_packet(family);
        quote.resize(padded, 0);
        quote.extend(&structure[..structure.len().saturating_sub(cut)]);
        let from = router(family, 1);
        let message = error(from, Type::TimeExceeded, 0, rest, &quote);
        let mut trace = Trace::new(family);
        let heard = trace.handle(10, from, &message).unwrap();
        prop_assert_eq!(heard.reply.probe.hop, 1);
        prop_assert!(read(&heard.extensions, &message)? <= structure.len() / 4);
    }

    #[test]
    fn a_structure_of_whole_objects_comes_out_as_it_went_in(
        family in a_version(),
        objects in prop::collection::vec((any::<u8>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..30)), 1..6),
    ) {
        let mut octets = vec![0x20, 0, 0, 0];
        for (class, kind, payload) in &objects {
            octets.extend(u16::try_from(payload.len() + 4).unwrap().to_be_bytes());
            octets.extend([*class, *kind]);
            octets.extend(payload);
        }
        // Zero says that there is none (RFC 4884, section 7); all ones are the same number.
        let sum = Checksum::new().with(&octets).finish();
        octets[2..4].copy_from_slice(&if sum == 0 { u16::MAX } else { sum }.to_be_bytes());
        let mut quote = probe_packet(family);
        quote.resize(128, 0);
        quote.extend(&octets);
        // Said or not, it is found.
        for rest in [0, 0x0020_0000, 0x1000_0000] {
            let error = Error { icmp_type: Type::TimeExceeded, code: 0, rest, quoted: &quote };
            let found: Vec<_> = Extensions::of(family, &error).objects()
                .map(|Object { class, kind, payload }| (class, kind, payload.to_vec())).collect();
            prop_assert_eq!(&found, &objects);
        }
    }

    #[test]
    fn any_octets_are_read_as_any_object(class in 0..4_u8, kind in any::<u8>(), payload in prop::collection::vec(any::<u8>(), 0..80)) {
        let object = Object { class, kind, payload: &payload };
        prop_assert_eq!(object.mpls().map(Iterator::count), ((class, kind) == (1, 1)).then_some(payload.len() / 4));
        if let Some(interface) = object.interface() {
            prop_assert_eq!(class, 2);
            let said = [interface.index.is_some(), interface.address.is_some(), interface.name.is_some(), interface.mtu.is_some()];
            prop_assert_eq!(said, [8, 4, 2, 1].map(|bit| kind & bit != 0));
        }
    }
}
