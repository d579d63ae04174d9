//! The far end of an emulated board's network cable: plays a scenario of the lab on a Unix socket,
//! and compares the route that the board prints with the true one. No privileges, no network.
//!
//! `hopshot-cable SCENARIO 4|6 -- COMMAND`: in the command `{netdev}` stands for the options of
//! QEMU's network backend, and `{addresses}` for the arguments of the firmware: target, board,
//! gateway. The exit status is the command's; 3 if the route that it printed isn't the true one.
#![forbid(unsafe_code)]

mod ethernet;
mod route;

use core::time::Duration;
use ethernet::{Gateway, Taken};
use hopshot_core::wire::AddressFamily;
use hopshot_lab::{CLIENT, Internet, Scenario};
use std::error::Error;
use std::io::{self, BufRead, BufReader};
use std::net::IpAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Instant;
use std::{env, fs, thread};

/// The status when the route isn't the true one.
const WRONG_ROUTE: u8 = 3;
/// How often the far end looks whether the board is still there.
const GLANCE: Duration = Duration::from_millis(20);

/// A frame for the board, and when it is due.
type Due = (Instant, Vec<u8>);

fn main() -> ExitCode {
    match run() {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("hopshot-cable: {error}");
            ExitCode::from(125)
        }
    }
}

fn run() -> Result<u8, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [scenario, family, dashes, program, rest @ ..] = &arguments[..] else {
        return Err("wanted: SCENARIO 4|6 -- COMMAND".into());
    };
    let family = match (family.as_str(), dashes.as_str()) {
        ("4", "--") => AddressFamily::V4,
        ("6", "--") => AddressFamily::V6,
        _ => return Err("wanted: SCENARIO 4|6 -- COMMAND".into()),
    };
    let internet = Internet::new(&Scenario::load(scenario)?, 1);
    let truth = internet.truth(family);
    let cable = Cable::new()?;
    let gateway: IpAddr = match family {
        AddressFamily::V4 => [10, 0, 0, 1].into(),
        AddressFamily::V6 => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
    };
    let addresses = format!(
        "arg={},arg={},arg={gateway}",
        internet.target(family),
        CLIENT.address(family)
    );
    let fill = |text: &String| {
        text.replace("{netdev}", &cable.netdev())
            .replace("{addresses}", &addresses)
    };
    let socket = UnixDatagram::bind(cable.ours())?;
    let mut child = Command::new(fill(program))
        .args(rest.iter().map(fill))
        .stdout(Stdio::piped())
        .spawn()?;
    let over = AtomicBool::new(false);
    let (status, lines) = thread::scope(|scope| {
        let (post, letters) = mpsc::channel();
        scope.spawn(|| {
            let letters = letters;
            deliver(&letters, &socket, &cable.theirs());
        });
        let player = scope.spawn(|| {
            let post = post;
            play(internet, &socket, &over, &post)
        });
        let watched = watch(&mut child);
        over.store(true, Ordering::Relaxed);
        let played = player
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the far end stopped")));
        played.and(watched)
    })?;
    match route::compare(&lines, &truth) {
        Ok(()) => Ok(status),
        Err(difference) => {
            eprintln!("hopshot-cable: {difference}");
            Ok(WRONG_ROUTE)
        }
    }
}

/// Shows what the command prints, and waits for its end.
fn watch(child: &mut Child) -> io::Result<(u8, Vec<String>)> {
    let mut lines = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            println!("{line}");
            lines.push(line);
        }
    }
    let status = child
        .wait()?
        .code()
        .and_then(|code| u8::try_from(code).ok());
    Ok((status.unwrap_or(125), lines))
}

/// Hands the board's packets to the simulated internet, and the answers to whoever delivers them.
fn play(
    mut internet: Internet,
    socket: &UnixDatagram,
    over: &AtomicBool,
    post: &Sender<Due>,
) -> io::Result<()> {
    let start = Instant::now();
    let mut gateway = Gateway::default();
    let mut buf = [0; 2048];
    socket.set_read_timeout(Some(GLANCE))?;
    while !over.load(Ordering::Relaxed) {
        let len = match socket.recv(&mut buf) {
            Ok(len) => len,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        let now = start.elapsed();
        let answers = match gateway.take(&buf[..len]) {
            Taken::Question(answer) => vec![(start + now, answer)],
            Taken::Packet(packet) => {
                let answers = internet.receive(now, packet).into_iter();
                answers
                    .filter_map(|answer| Some((start + answer.due, gateway.wrap(&answer.packet)?)))
                    .collect()
            }
            Taken::Nothing => Vec::new(),
        };
        for due in answers {
            post.send(due).map_err(io::Error::other)?;
        }
    }
    Ok(())
}

/// Gives the board each frame at the moment it is due. A thread of its own: it can be woken to the
/// microsecond, a socket only at the kernel's ticks.
fn deliver(post: &Receiver<Due>, socket: &UnixDatagram, board: &Path) {
    let mut queue: Vec<Due> = Vec::new();
    loop {
        let now = Instant::now();
        for (_, frame) in queue.extract_if(.., |(at, _)| *at <= now) {
            // A board that has switched itself off hears nothing more.
            let _ = socket.send_to(&frame, board);
        }
        let next = queue
            .first()
            .map(|(at, _)| at.saturating_duration_since(Instant::now()));
        match next.map_or_else(
            || post.recv().map_err(Into::into),
            |wait| post.recv_timeout(wait),
        ) {
            Ok(due) => queue.push(due),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        queue.sort_by_key(|(at, _)| *at);
    }
}

/// A directory with a socket for either end, gone when this is.
struct Cable(PathBuf);

impl Cable {
    fn new() -> io::Result<Self> {
        let directory = env::temp_dir().join(format!("hopshot-cable-{}", std::process::id()));
        fs::create_dir(&directory)?;
        Ok(Self(directory))
    }

    fn ours(&self) -> PathBuf {
        self.0.join("far")
    }

    fn theirs(&self) -> PathBuf {
        self.0.join("board")
    }

    fn netdev(&self) -> String {
        let (ours, theirs) = (self.ours(), self.theirs());
        format!(
            "dgram,id=cable,local.type=unix,local.path={},remote.type=unix,remote.path={}",
            theirs.display(),
            ours.display()
        )
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
