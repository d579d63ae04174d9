//! The helper that looks things up: this program once more, in a process of its own that never sees
//! a packet of a trace, since resolving names needs files, sockets and other people's code. It has
//! no capability and no way to any. Started by root, or by a set-user-ID program, it is nobody
//! (user 65534, where there is that user). Where the kernel can, it may read the files that
//! resolvers need and no other, write none, start threads and no process, and reach no other
//! process but by sockets: those of UDP and TCP, and those among files only where a resolver of
//! this machine has one. See [`privilege::confine_to_lookups`].
//!
//! It reads requests from the lines of standard input, writes answers to those of standard output,
//! and ends with its input: see [`lines`](hopshot_linux::lookup::lines).
//!
//! Who wants to know of ASes gives it the [zone](Zone) that tells them as a second argument,
//! and as a third the server to ask if it isn't one of the system's.

use hopshot_linux::Threads;
use hopshot_linux::lookup::{Request, Response, Word, Words, Zone};
use hopshot_linux::privilege::{self, Shortfall};
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

/// The argument that makes this program the helper.
pub(crate) const ARGUMENT: &str = "--look-up-names";

/// Lookups at a time. Who asks for more about addresses is told that nothing is known.
const LOOKUPS: usize = 128;

/// Runs the helper. It gives up what it may not have before it reads anything.
pub(crate) fn run() -> ExitCode {
    match privilege::confine_to_lookups() {
        Ok(shortfalls) => {
            let tell = |shortfall: &Shortfall| {
                write(&Response::Unconfined(Words::of(&shortfall.to_string())));
            };
            shortfalls.iter().for_each(tell);
        }
        Err(error) => {
            write(&Response::Unconfined(Words::of(&error.to_string())));
            return ExitCode::from(2);
        }
    }
    let mut arguments = std::env::args().skip(2);
    let server = |argument: String| argument.parse().ok();
    let zone = arguments
        .next()
        .map(|zone| Zone::new(zone, arguments.next().and_then(server)));
    let mut threads = Threads::new("name", LOOKUPS, move |request: Request| {
        write(&request.answer(zone.as_ref()));
    });
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Ok(request) = line.parse::<Request>() else {
            continue;
        };
        let refused = match request {
            // Whoever wants an address can wait until a thread is free.
            Request::Find(..) => threads.queue(request),
            _ => threads.give(request),
        };
        match refused.err() {
            None => {}
            Some(Request::Find(host, _)) => {
                write(&Response::Later(
                    host,
                    Words::of("no thread can be started"),
                ));
            }
            Some(Request::Name(address)) => write(&Response::Name(address, Word::of(""))),
            Some(Request::Origin(address)) => write(&Response::Origin(address, Some(Vec::new()))),
            Some(Request::As(number)) => write(&Response::As(number, Words::of(""))),
        }
    }
    // Lookups that still run end here too.
    ExitCode::SUCCESS
}

fn write(answer: &Response) {
    let _ = io::stdout()
        .lock()
        .write_all(format!("{answer}\n").as_bytes());
}
