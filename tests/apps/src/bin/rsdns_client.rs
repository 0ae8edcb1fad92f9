//! A DNS client on rsdns and tokio: it asks a name server for the addresses of a name.

use rsdns::clients::ClientConfig;
use rsdns::clients::tokio::Client;
use rsdns::records::{Class, data::A};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let (server, name) = (args.next().expect("a server"), args.next().expect("a name"));
    let config = ClientConfig::with_nameserver(server.parse().expect("an address"));
    let mut client = Client::new(config).await.expect("a client");
    match client.query_rrset::<A>(&name, Class::IN).await {
        Ok(records) => records.rdata.iter().for_each(|record| println!("{}", record.address)),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
