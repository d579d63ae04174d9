//! What middleboxes do to the options of a SYN, as routers behind them quote it (G. Detal et al.,
//! 'Revealing Middlebox Interference with Tracebox', IMC 2013).

use crate::protocol::Probes;
use hopshot_core::wire::{Ends, tcp};
use hopshot_core::{Answer, Back, Protocol, Quoted};

/// The options of a SYN as a router quotes it, where middleboxes before it have changed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotedSyn {
    /// The maximum segment size in octets, if it isn't the one that was sent; 0 if it is gone.
    pub mss: Option<u16>,
    /// Whether others were changed or taken away.
    pub options_changed: bool,
}

impl QuotedSyn {
    /// Compares the quote in an answer with what was sent. `None` if they are the same, if the
    /// quote isn't long enough, or if it isn't of a SYN.
    pub(crate) fn of(probes: &Probes, ends: Ends, answer: &Answer<'_>) -> Option<Self> {
        let (Probes::Tcp(syns), Back::Quoted(Quoted { message, .. })) = (probes, answer.back)
        else {
            return None;
        };
        let options = tcp::QuotedSegment::parse(message).ok()?.options?;
        // But for the timestamp, which nobody compares, all SYNs have the same.
        let mut sent = vec![0; syns.message_len()];
        syns.emit(ends, 0, &mut sent).ok()?;
        let sent = tcp::QuotedSegment::parse(&sent).ok()?.options?;
        let mss = tcp::mss(options);
        let options_changed = kinds(options).ne(kinds(sent));
        let mss = (mss != tcp::mss(sent)).then(|| mss.unwrap_or_default());
        (mss.is_some() || options_changed).then_some(Self {
            mss,
            options_changed,
        })
    }
}

/// The kinds and lengths of options, but for the maximum segment size.
fn kinds(options: &[u8]) -> impl Iterator<Item = &[u8; 2]> {
    /// RFC 9293, section 3.2.
    const MSS: u8 = 2;
    tcp::options(options)
        .filter_map(<[u8]>::first_chunk)
        .filter(|[kind, _]| *kind != MSS)
}
