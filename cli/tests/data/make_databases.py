"""Makes the databases beside it; see README.md."""

from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet


def write(name, kind, records, numbers="u32"):
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type=kind, int_type=numbers, description={"en": "A test of hopshot"})
    for networks, record in records:
        writer.insert_network(IPSet(networks), record)
    writer.to_db_file(str(Path(__file__).parent / name))


def asn(number, name):
    return {"autonomous_system_number": number, "autonomous_system_organization": name}


networks = {
    64500 + pair: [network for hop in (2 * pair + 1, 2 * pair + 2) for network in (f"10.{hop}.0.0/16", f"2001:db8:{hop:x}::/48")]
    for pair in range(5)
}
records = [(networks, asn(number, f"EXAMPLE-{number} Example Network")) for number, networks in networks.items()]
# Hop 11 has none; and whoever owns an AS names it.
records.append((["10.255.0.0/16", "2001:db8:ffff::/48"], asn(64511, "Target\x1b[2J Networks")))
write("asn.mmdb", "Test-ASN", records)
for numbers in ("u16", "u64"):
    write(f"../../../backend-linux/tests/data/{numbers}.mmdb", "Test-ASN", [(["10.0.0.0/8"], asn(64500, "EXAMPLE"))], numbers)
write("country.mmdb", "Test-Country", [(["10.0.0.0/8", "2001:db8::/32"], {"country": {"iso_code": "ZZ"}})])
