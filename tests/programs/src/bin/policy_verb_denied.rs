//! Does what one verb is about; its grant is not there. The third argument is the grant that must
//! be named.

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() {
    let args = attack::args();
    let result = attack::act(&args[0], &args[1]);
    if args[0] == "udp-receive" {
        // Nobody is told of a datagram that is none of his business.
        let error = result.expect_err("nothing comes");
        assert_eq!((error.class(), error.errno()), ("TimeoutError", None));
    } else {
        attack::denied_for(&args[0], result, &args[2]);
    }
}
