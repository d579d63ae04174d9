//! x
use std::collections::BTreeMap;
use std::panic;
fn main() {
    panic::set_hook(Box::new(|_| {}));
    if let Some(h) = std::env::args().nth(2) {
        let o: Vec<u8> = (0..h.len() / 2).map(|i| u8::from_str_radix(&h[2 * i..2 * i + 2], 16).unwrap()).collect();
        unsafe { std::env::set_var("DBG", "1") };
        let _ = panic::take_hook();
        hopshot_fuzz::path::body(&o);
        return;
    }
    let n: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let mut classes: BTreeMap<String, (u64, Vec<u8>)> = BTreeMap::new();
    let mut x = 88172645463325252u64;
    let mut next = move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    for _ in 0..n {
        let len = (next() >> 20) % 300;
        let octets: Vec<u8> = (0..len).map(|_| (next() >> 33) as u8).collect();
        let r = panic::catch_unwind(|| hopshot_fuzz::path::body(&octets));
        if let Err(e) = r {
            let m = e
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| e.downcast_ref::<&str>().map(|s| s.to_string()))
                .unwrap();
            let key: String = m.chars().filter(|c| !c.is_ascii_digit()).collect();
            let e = classes.entry(key).or_insert((0, octets.clone()));
            e.0 += 1;
            if octets.len() < e.1.len() {
                e.1 = octets;
            }
        }
    }
    for (k, (n, o)) in classes {
        println!("{n} x {k}\n   {}", o.iter().map(|b| format!("{b:02x}")).collect::<String>());
        unsafe { std::env::set_var("DBG", "1") };
        let _ = panic::catch_unwind(|| hopshot_fuzz::path::body(&o));
        unsafe { std::env::remove_var("DBG") };
    }
}
