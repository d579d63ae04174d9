//! Names beyond ASCII, as DNS has them: `münchen.example` is `xn--mnchen-3ya.example` there (RFC 5890, RFC 3492).

/// The longest label, and what one begins with that stands for other letters.
const LONGEST_LABEL: usize = 63;
const PREFIX: &str = "xn--";

/// The parameters of RFC 3492, section 5.
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 0x80;

/// Returns a name in ASCII: `None` if DNS has no such name. Letters become small, since DNS compares only those of ASCII
/// without regard to case; nothing else is mapped.
pub(crate) fn ascii(name: &str) -> Option<String> {
    let labels = name.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).map(label);
    labels.collect::<Option<Vec<_>>>().map(|labels| labels.join("."))
}

fn label(label: &str) -> Option<String> {
    if label.is_ascii() {
        return Some(label.to_owned());
    }
    let letters: Vec<char> = label.to_lowercase().chars().collect();
    let encoded = format!("{PREFIX}{}", punycode(&letters)?);
    (encoded.len() <= LONGEST_LABEL).then_some(encoded)
}

/// Encodes letters as RFC 3492, section 6.3, says: those of ASCII, and then where each other one is put in. `None` if there are
/// more than numbers for them.
fn punycode(letters: &[char]) -> Option<String> {
    let mut text: String = letters.iter().filter(|c| c.is_ascii()).collect();
    let basic = u32::try_from(text.len()).ok()?;
    let all = u32::try_from(letters.len()).ok()?;
    if basic > 0 {
        text.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0_u32, INITIAL_BIAS, basic);
    while handled < all {
        let next = letters.iter().map(|c| u32::from(*c)).filter(|code| *code >= n).min()?;
        delta = (next - n).checked_mul(handled + 1)?.checked_add(delta)?;
        n = next;
        for code in letters.iter().map(|c| u32::from(*c)) {
            if code < n {
                delta = delta.checked_add(1)?;
            } else if code == n {
                push_number(&mut text, delta, bias);
                bias = adapted(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n += 1;
    }
    Some(text)
}

/// Writes a number in digits whose weights depend on the bias.
fn push_number(text: &mut String, mut number: u32, bias: u32) {
    for k in (1..).map(|place| place * BASE) {
        let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if number < threshold {
            break;
        }
        text.push(digit(threshold + (number - threshold) % (BASE - threshold)));
        number = (number - threshold) / (BASE - threshold);
    }
    text.push(digit(number));
}

/// The digits are a to z, and then 0 to 9.
fn digit(value: u32) -> char {
    char::from_digit((value + 10) % BASE, BASE).unwrap_or('0')
}

fn adapted(delta: u32, handled: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / DAMP } else { delta / 2 };
    delta += delta / handled;
    let mut k = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_beyond_ascii_is_what_dns_calls_it() {
        for (name, ascii_name) in [
            ("münchen.example", "xn--mnchen-3ya.example"),
            ("MÜNCHEN.Example", "xn--mnchen-3ya.Example"),
            ("bücher.tld.", "xn--bcher-kva.tld."),
            ("faß.example", "xn--fa-hia.example"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("испытание.example", "xn--80akhbyknj4f.example"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("a.example", "a.example"),
        ] {
            assert_eq!(ascii(name).as_deref(), Some(ascii_name), "{name}");
        }
        // RFC 3492, section 7.1 (L): 3年B組金八先生, but for its large letter.
        assert_eq!(ascii("3年b組金八先生").as_deref(), Some("xn--3b-ww4c5e180e575a65lsy2b"));
        assert_eq!(ascii(&"ü".repeat(70)), None);
    }
}
