//! The pipe between the command and its helper: any octets, and any values, in both directions.

use crate::console::is_obeyed;
use arbitrary::{Arbitrary, Unstructured};
use core::fmt::{Debug, Display};
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;
use hopshot_linux::AddressFamily;
use hopshot_linux::lookup::lines::{LONGEST_LINE, Lines};
use hopshot_linux::lookup::{Request, Response, Wanted, Word, Words};

/// Reads `octets` as what comes through the pipe; and writes what they make up, and reads that
/// back.
pub fn body(octets: &[u8]) {
    arrive(octets);
    let mut octets = Unstructured::new(octets);
    while !octets.is_empty() {
        let Ok(value) = Value::arbitrary(&mut octets) else {
            break;
        };
        let requests = value.requests();
        let answers = value.answers();
        read_back(&requests);
        read_back(&answers);
    }
}

/// Lines are the same however their octets come, and of each that means something both ends think
/// the same.
fn arrive(octets: &[u8]) {
    let mut whole = Lines::default();
    let lines = whole.take(octets);
    let model: Vec<_> = octets
        .split(|octet| *octet == b'\n')
        .map(String::from_utf8_lossy)
        .collect();
    let (last, ended) = model.split_last().expect("a split has a piece");
    assert_eq!(lines, ended);
    assert!(!whole.is_too_long() || last.len() > LONGEST_LINE);
    let size = octets.first().map_or(1, |octet| usize::from(*octet) + 1);
    let mut pieces = Lines::default();
    let in_pieces: Vec<String> = octets
        .chunks(size)
        .flat_map(|piece| pieces.take(piece))
        .collect();
    assert_eq!(in_pieces, lines);
    assert_eq!(pieces.is_too_long(), whole.is_too_long());
    for line in model {
        line.parse::<Request>()
            .iter()
            .for_each(|request| read_back(std::slice::from_ref(request)));
        line.parse::<Response>()
            .iter()
            .for_each(|answer| read_back(std::slice::from_ref(answer)));
    }
}

/// What is written is read back as it was, one line each: bounded, and nothing in it that a
/// terminal obeys.
fn read_back<T: Display + FromStr<Err: Debug> + PartialEq + Debug>(values: &[T]) {
    let mut written = String::new();
    for value in values {
        let line = value.to_string();
        assert!(
            line.len() <= LONGEST_LINE && !line.contains(is_obeyed),
            "{line:?}"
        );
        written.push_str(&line);
        written.push('\n');
    }
    let read: Vec<T> = Lines::default()
        .take(written.as_bytes())
        .iter()
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(read, values);
}

/// Whatever strangers may have said.
#[derive(Arbitrary, Debug)]
struct Value {
    address: IpAddr,
    port: u16,
    /// The zone of an IPv6 address.
    scope: u32,
    number: u32,
    numbers: Option<[u32; 3]>,
    count: u8,
    family: u8,
    text: String,
    more: String,
}

impl Value {
    fn requests(&self) -> [Request; 4] {
        let family = match self.family % 5 {
            0 => Wanted::Any,
            1 => Wanted::Only(AddressFamily::V4),
            2 => Wanted::Only(AddressFamily::V6),
            3 => Wanted::Rather(AddressFamily::V4),
            _ => Wanted::Rather(AddressFamily::V6),
        };
        [
            Request::Name(self.address),
            Request::Origin(self.address),
            Request::As(self.number),
            Request::Find(Word::of(&self.text), family),
        ]
    }

    fn answers(&self) -> [Response; 7] {
        let (word, words) = (Word::of(&self.text), Words::of(&self.more));
        let numbers = self.numbers.map(|numbers| {
            let numbers = numbers
                .into_iter()
                .cycle()
                .take(usize::from(self.count % 33));
            numbers.collect()
        });
        let mut at = SocketAddr::new(self.address, self.port);
        if let SocketAddr::V6(at) = &mut at {
            at.set_scope_id(self.scope);
        }
        [
            Response::Name(self.address, word.clone()),
            Response::Origin(self.address, numbers),
            Response::As(self.number, words.clone()),
            Response::Found(word.clone(), at),
            Response::Lost(word.clone(), words.clone()),
            Response::Later(word, words.clone()),
            Response::Unconfined(words),
        ]
    }
}
