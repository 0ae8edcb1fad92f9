"""The handlers of logging that use sockets. The arguments are the ports of syslog, a stream and datagrams, and a UNIX socket."""

import logging
import logging.handlers
import sys

syslog, stream, datagram = map(int, sys.argv[1:4])
log = logging.getLogger("sandbox")
log.setLevel(logging.INFO)
for handler in (
    logging.handlers.SysLogHandler(("127.0.0.1", syslog)),
    logging.handlers.SysLogHandler(sys.argv[4]),
    logging.handlers.SocketHandler("127.0.0.1", stream),
    logging.handlers.DatagramHandler("127.0.0.1", datagram),
):
    log.addHandler(handler)
log.info("a message for %s", "everybody")
logging.shutdown()
print("ok")
