//! Routers that lie about the size of packets.

use crate::mtu::limits;
use crate::world::read::marks;
use crate::world::{FAMILIES, in_scenario};

#[test]
fn routers_that_name_impossible_mtus_do_not_lead_astray() {
    for (_, target) in FAMILIES {
        let Some((document, limits)) = limits("mtu-odd", target) else {
            return;
        };
        // A refusal that names no less than what it refuses isn't one for the size: nobody has
        // named that limit.
        let expected = [
            (4, 1492, Some(1500), false),
            (7, 1420, Some(1460), true),
            (10, 1280, Some(1400), true),
        ];
        assert_eq!(
            (limits.as_slice(), &document["path_mtu"]),
            (&expected[..], &1280.into()),
            "{document}"
        );
    }
}

/// A scenario of twelve hops with this link behind hop 5, in a file.
fn behind_a_link(name: &str, link: &str) -> String {
    let path = std::env::temp_dir().join(format!("hopshot-{name}-{}.toml", std::process::id()));
    std::fs::write(&path, format!("[[hop]]\nat = 5\nlink = {link}\n"))
        .expect("a file can be written");
    path.to_str().expect("the path is text").to_owned()
}

#[test]
fn a_router_that_lies_makes_no_packet_smaller_than_those_that_pass() {
    // What is named for a link that carries 1450 octets, in which families, and what is found.
    let usual = (1420, Some(1460));
    for (number, (says, target, (mtu, less_than))) in [
        ("68", "{4}", usual),
        ("1280", "{4}", usual),
        ("1280", "{6}", usual),
        ("1279", "{6}", usual),
        ("68", "{6}", usual),
        ("0", "{6}", usual),
        ("9000", "{6}", usual),
        ("\"one-less\"", "{4}", usual),
        ("\"one-less\"", "{6}", usual),
        ("1449", "{4}", (1450, Some(1460))),
        ("1450", "{4}", (1450, None)),
        ("1450", "{6}", (1450, None)),
    ]
    .into_iter()
    .enumerate()
    {
        let scenario = behind_a_link(
            &format!("mtu-lie-{number}"),
            &format!("{{ mtu = 1450, says = {says} }}"),
        );
        let Some((document, limits)) = limits(&scenario, target) else {
            return;
        };
        std::fs::remove_file(scenario).expect("the file can be removed");
        // Nobody has named a limit who names more than what he refuses.
        let is_named = says != "9000";
        assert_eq!(
            limits,
            [(6, mtu, less_than, is_named)],
            "{says} {target}: {document}"
        );
        assert_eq!(
            (&document["path_mtu"], &document["distance"]),
            (&mtu.into(), &12.into()),
            "{says}: {document}"
        );
        assert_eq!(
            document["path_mtu_exact"],
            less_than.is_none(),
            "{says}: {document}"
        );
        // Nor is any hop shown with packets smaller than that.
        let hops = document["hops"].as_array().unwrap().iter();
        let mtus: Vec<_> = hops.map(|hop| hop["mtu"].as_u64()).collect();
        assert_eq!(
            mtus,
            [[Some(1500); 5].as_slice(), &[Some(mtu); 7]].concat(),
            "{says}: {document}"
        );
    }
}

#[test]
fn a_path_of_liars_is_found_to_its_end() {
    for (_, target) in FAMILIES {
        let Some((document, limits)) = limits("mtu-liars", target) else {
            return;
        };
        assert_eq!(
            limits[..2],
            [(3, 1492, Some(1497), true), (6, 1420, Some(1460), true)],
            "{document}"
        );
        let (mtu, less_than) = (limits[2].1, limits[2].2.unwrap_or(1301));
        assert!(
            (1280..=1300).contains(&mtu) && (1301..=1420).contains(&less_than),
            "{document}"
        );
        assert_eq!(
            (limits.len(), &document["path_mtu"]),
            (3, &mtu.into()),
            "{document}"
        );
    }
}

#[test]
fn the_text_marks_no_hop_with_what_a_router_lied() {
    let scenario = behind_a_link("mtu-lie-text", "{ mtu = 1450, says = 68 }");
    let Some(said) = in_scenario(&scenario, &["-n", "-q1", "--mtu", "{4}"]) else {
        return;
    };
    std::fs::remove_file(scenario).expect("the file can be removed");
    assert_eq!(
        marks(&said.stdout),
        [(1, 1500), (6, 1420)],
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains(
            "\nHop 6: packets of 1420 octets pass, packets of 1460 don't; 10.5.0.1 names no size that was confirmed."
        ),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout
            .ends_with("path MTU at least 1420, less than 1460\n"),
        "{}",
        said.stdout
    );
}

#[test]
fn who_does_not_prove_that_a_packet_was_too_big_makes_none_smaller() {
    for (_, target) in FAMILIES {
        let Some((document, limits)) = limits("mtu-forged", target) else {
            return;
        };
        assert_eq!(limits, [(6, 1400, Some(1420), false)], "{document}");
        assert_eq!(
            (&document["path_mtu"], &document["distance"]),
            (&1400.into(), &12.into()),
            "{document}"
        );
    }
}
