//! Servers at the end of a chain, in this process: their sockets belong to the namespace that they
//! were opened in.

use super::failure::{Context, Failure};
use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

/// Serves TCP and UDP on a port, in both families: it returns what it gets. To be called in the
/// namespace of the server.
pub(super) fn serve(port: u16) -> Result<(), Failure> {
    let everywhere = (Ipv6Addr::UNSPECIFIED, port);
    let listener = TcpListener::bind(everywhere).context("TCP server")?;
    let socket = UdpSocket::bind(everywhere).context("UDP server")?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let (mut stream, mut octets) = (stream, [0; 512]);
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                if let Ok(len) = stream.read(&mut octets) {
                    let _ = stream.write_all(&octets[..len]);
                }
            });
        }
    });
    thread::spawn(move || {
        let mut octets = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut octets) {
            let _ = socket.send_to(&octets[..len], from);
        }
    });
    Ok(())
}
