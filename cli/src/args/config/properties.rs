//! Properties of files of options that are made up of right and wrong pieces.

use super::*;

const PIECES: [&str; 52] = [
    "-n",
    "-q",
    "1",
    "11",
    "--wait=0.5",
    "--targets",
    "#",
    "# -n",
    "-4",
    "-6",
    "--count",
    "5",
    "--watch",
    "--paths",
    "--mtu",
    "--format",
    "csv",
    "svg",
    "-f",
    "9",
    "-m",
    "8",
    "--rate",
    "-5",
    "--confidence",
    "--every",
    "--at-once",
    "--help",
    "-V",
    "--no-config",
    "--generate=man",
    "--",
    "-",
    "::1",
    "--source",
    "\x1b[2J",
    "\u{202e}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\u{b}",
    "",
    "\u{e4}",
    "--\u{9b}2J",
    "-q 1",
    "--count 5",
    "--every 2",
    "--at-once 9",
    "--format csv",
    "--format svg",
    "-f 9",
    "-m 8 # far",
];

/// Any number below a bound, by SplitMix64 (Steele, Lea and Flood, 2014).
fn below(state: &mut u64, bound: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) % bound as u64) as usize
}

fn parse(lines: &[String]) -> Result<Config, String> {
    Config::parse(Path::new("file"), &lines.concat())
}

/// The number of the line that a complaint is about.
fn blamed(why: &str) -> Option<usize> {
    why.strip_prefix("file, line ")?
        .split_once(": ")?
        .0
        .parse()
        .ok()
}

#[test]
fn the_first_line_that_is_wrong_is_blamed_and_what_is_right_can_be_beside_any_command_line() {
    let mut state = 0x686f_7073_686f_7421;
    let (mut wrong, mut right) = (0, 0);
    for _ in 0..1500 {
        let lines: Vec<String> = (0..1 + below(&mut state, 4))
            .map(|_| {
                let count = 1 + below(&mut state, 3) / 2;
                let pieces: Vec<&str> = (0..count)
                    .map(|_| PIECES[below(&mut state, PIECES.len())])
                    .collect();
                pieces.join(" ") + ["\n", "\r\n"][below(&mut state, 2)]
            })
            .collect();
        match parse(&lines) {
            Err(why) => {
                wrong += 1;
                let Some(number) = blamed(&why) else { continue };
                let (before, rest) = lines.split_at(number - 1);
                assert!(!rest[0].trim().is_empty(), "{why}: {lines:?}");
                let earlier = parse(before).err().and_then(|why| blamed(&why));
                assert_eq!(earlier, None, "{why}: {lines:?}");
                assert!(!visible(&why).contains(crate::console::is_obeyed));
            }
            Ok(config) => {
                right += 1;
                for line in [
                    "hopshot ::1",
                    "hopshot -6 --watch ::1",
                    "hopshot --paths ::1",
                    "hopshot -m 8 ::1 ::2",
                ] {
                    let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
                    let with = config.with(&arguments);
                    assert!(understand(&with).is_ok(), "{with:?}: {lines:?}");
                    assert!(
                        with.ends_with(&arguments[1..]),
                        "the command line comes last"
                    );
                }
            }
        }
    }
    assert!(wrong > 300 && right > 100, "{wrong} wrong, {right} right");
}
