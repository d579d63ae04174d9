//! A traceroute on smoltcp, beside the kernel's stack: on a TUN device, by a packet socket, with
//! the device's own addresses.
//!
//! In the lab, where nothing leaves the machine:
//!
//! ```text
//! cargo build -p hopshot-lab
//! cargo build --manifest-path core/examples/smoltcp/Cargo.toml --target-dir target/smoltcp
//! hopshot-lab run wan --link tun -- target/smoltcp/debug/on-smoltcp hopshot0 {4} 10.0.0.2
//! hopshot-lab run wan --link tun -- target/smoltcp/debug/on-smoltcp hopshot0 {6} 2001:db8::2
//! ```
//!
//! The kernel's stack hears the same answers, but asked for none of them and ignores them. What is
//! worth copying is in `examples/adapter/smoltcp.rs`; the firmware uses the same file.

#[path = "../../adapter/smoltcp.rs"]
mod adapter;

use adapter::{ANSWER_LEN, PROBE_LEN, Stack, Step};
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Config, Echo, Instant, Tracer};
use smoltcp::iface::{self, Interface, SocketSet};
use smoltcp::phy::{self, Medium, RawSocket};
use smoltcp::socket::raw::{PacketBuffer, PacketMetadata};
use smoltcp::wire::{HardwareAddress, IpCidr};
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::process::ExitCode;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [device, target, source] = &arguments[..] else {
        return Err("wanted: DEVICE TARGET SOURCE".into());
    };
    let (target, source): (IpAddr, IpAddr) = (target.parse()?, source.parse()?);

    // A TUN device has no Ethernet and no neighbours: every packet goes to whoever holds its other
    // end.
    let mut device = RawSocket::new(device, Medium::Ip)?;
    let fd = device.as_raw_fd();
    let config = iface::Config::new(HardwareAddress::Ip);
    let mut interface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
    interface.update_ip_addrs(|addresses| _ = addresses.push(IpCidr::new(source.into(), 0)));

    let receive = PacketBuffer::new(vec![PacketMetadata::EMPTY], vec![0; ANSWER_LEN]);
    let transmit = PacketBuffer::new(vec![PacketMetadata::EMPTY], vec![0; PROBE_LEN]);
    let mut sockets = SocketSet::new(Vec::new());
    let socket = sockets.add(adapter::socket(
        AddressFamily::of(target),
        receive,
        transmit,
    ));

    let start = std::time::Instant::now();
    let now = || Instant::from_nanos(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    let mut random = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let config = Config {
        source,
        ..Config::new(target)
    };
    let mut tracer = Tracer::<96>::new(config, Echo::new(random))?;
    let mut stack = Stack::new(&mut interface, &mut device, &mut sockets, socket);
    let mut buf = [0; PROBE_LEN];
    loop {
        match stack.step(&mut tracer, now(), &mut buf)? {
            Step::Heard(_) | Step::Busy => {}
            Step::Wait(until) => {
                // It waits whole milliseconds, so the last one goes by in short steps.
                let wait = until.saturating_since(now()).as_millis();
                phy::wait(
                    fd,
                    Some(smoltcp::time::Duration::from_millis(u64::try_from(wait)?)),
                )?;
            }
            Step::Done => break,
        }
    }
    let route = tracer.route();
    for hop in route.hops() {
        match hop.replies().next() {
            Some(reply) => println!(
                "{:2}  {}  {:.3} ms",
                hop.number(),
                reply.from,
                reply.rtt.as_secs_f64() * 1e3
            ),
            None => println!("{:2}  *", hop.number()),
        }
    }
    Ok(if route.distance().is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
