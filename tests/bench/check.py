"""Does the load generator notice a wrong byte? Figures of one that does not are worth nothing."""

import programs
from entries import LIAR
from scenarios import TCP


def load_notices(catalogue):
    """It must fail on a server that lies."""
    with catalogue.start(LIAR, TCP, 1) as server:
        try:
            with catalogue.load("crowd", server.address, n=1, r=1000) as load:
                load.run()
        except programs.Failure as failure:
            if "not what was sent" in str(failure):
                return
            raise
    raise programs.Failure("the load generator has not noticed a wrong byte")
