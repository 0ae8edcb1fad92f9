//! Does the act of one verb without its grant. The third argument is the grant that the denial must
//! name.

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() {
    let args = attack::args();
    let result = attack::act(&args[0], &args[1]);
    if args[0] == "udp-receive" {
        // The guest sees nothing of a datagram without a grant.
        let error = result.expect_err("nothing comes");
        assert_eq!((error.class(), error.errno()), ("TimeoutError", None));
    } else {
        attack::denied_for(&args[0], result, &args[2]);
    }
}
