//! Somebody sends answers to probes that he doesn't see, all the time.

use crate::needs::needs;
use crate::world::read::read;
use crate::world::{HOPSHOT, command_on_chain};
use serde_json::Value;

/// Traces a list on a chain of five routers while somebody guesses at the probes, on either kind of
/// socket in both families, and does something else meanwhile. Each family has its list, and the
/// documents are checked.
fn while_somebody_guesses(
    lists: [&str; 2],
    meanwhile: &str,
    check: impl Fn(&[Value], &str) + Sync,
) {
    const GUESSER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/guesser.py");
    let ends = [
        "10.2.0.1 10.1.0.254 10.6.0.1",
        "2001:db8:2::1 2001:db8:1::fe 2001:db8:6::1",
    ];
    let families = ["-4", "-6"].into_iter().zip(lists).zip(ends);
    std::thread::scope(|scope| {
        for (socket, ((family, list), ends)) in ["raw", "ping"]
            .into_iter()
            .flat_map(|socket| families.clone().map(move |family| (socket, family)))
        {
            let check = &check;
            scope.spawn(move || {
                let script = format!(
                    "timeout 20 python3 {GUESSER} {ends} 4660 9 & guesser=$!
                    {list} | {HOPSHOT} {family} -n -q1 --json --rate 500 --socket {socket} --ident 4660 --targets - &
                    list=$!; {meanwhile}; wait $list; kill $guesser"
                );
                let Some(said) = command_on_chain(5, &["--ping"], &["sh", "-c", &script]) else { return };
                let documents: Vec<Value> = said.stdout.lines().map(read).collect();
                check(&documents, &format!("{family} {socket}: {}", said.stderr));
            });
        }
    });
}

#[test]
fn a_dead_neighbour_is_told_whoever_guesses() {
    needs("python3");
    let lists = ["seq -f 10.1.0.%.0f 70 89", "seq -f 2001:db8:1::%.0f 70 89"];
    while_somebody_guesses(lists, "true", |documents, run| {
        assert_eq!(documents.len(), 20, "{run}");
        for document in documents {
            assert_eq!(document["stop_reason"], "local", "{run} {document}");
        }
    });
}

#[test]
fn a_silent_outage_is_seen_whoever_guesses() {
    needs("python3");
    needs("nft");
    let drop = "{ chain i { type filter hook prerouting priority -400; iifname ahead drop; }; }";
    let cut = format!(
        "sleep 0.7; nft 'table inet hopshot {drop}'; sleep 2.5; nft delete table inet hopshot"
    );
    while_somebody_guesses(
        [
            "yes 10.6.0.1 | head -n 300",
            "yes 2001:db8:6::1 | head -n 300",
        ],
        &cut,
        |documents, run| {
            assert_eq!(documents.len(), 300, "{run}");
            for document in documents {
                let hops = document["hops"].as_array().unwrap();
                let is_proven = |hop: &Value| {
                    hop["probes"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .any(|it| it["evidence"] == "strong")
                };
                assert!(
                    document["reached"] == true && hops.iter().all(is_proven),
                    "{run} {document}"
                );
            }
        },
    );
}
