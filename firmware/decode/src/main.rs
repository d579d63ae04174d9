//! `hopshot-decode ELF`: reads what a board logged with defmt from standard input, and writes it as
//! text. The texts are not on the board: they are in the ELF file.
#![forbid(unsafe_code)]

use defmt_decoder::{DecodeError, Table};
use std::error::Error;
use std::io::{self, Read};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("wanted: ELF")?;
    let table = Table::parse(&std::fs::read(path)?)?.ok_or("the program has no texts of defmt")?;
    let mut octets = Vec::new();
    io::stdin().read_to_end(&mut octets)?;
    let mut decoder = table.new_stream_decoder();
    decoder.received(&octets);
    loop {
        match decoder.decode() {
            Ok(frame) => println!("{}", frame.display_message()),
            Err(DecodeError::UnexpectedEof) => return Ok(()),
            Err(DecodeError::Malformed) => {
                return Err("what the board logged can't be decoded".into());
            }
        }
    }
}
