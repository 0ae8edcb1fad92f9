//! Tries destinations in every way. Arguments: GRANT HOST TCP-PORT UDP-PORT, again and again. The
//! grant is ADDRESS without verb and port, or - if a rule denies.

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() -> sandsock::Result<()> {
    for four in attack::args().chunks(4) {
        let [grant, host, tcp, udp] = four else { panic!("arguments come in fours") };
        let named =
            |verb: &str, port: &str| (grant != "-").then(|| format!("{verb}={grant}:{port}"));
        let port = |text: &str| text.parse().expect("a port");
        attack::all_denied(
            attack::tcp_ways(host, port(tcp))?,
            named("tcp-connect", tcp).as_deref(),
        );
        attack::all_denied(attack::udp_ways(host, port(udp))?, named("udp-send", udp).as_deref());
    }
    Ok(())
}
