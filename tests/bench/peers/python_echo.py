"""Python's socketserver, and asyncio: python_echo.py {threading|forking|udp|asyncio|liar} ADDRESS"""
import asyncio
import socketserver
import sys

kind, address = sys.argv[1:]
_, host, port = address.split(":")


class Stream(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(4096):
            self.request.sendall(data)


class Lie(socketserver.BaseRequestHandler):
    """The last byte of what is behind the first 10,000 is another one."""
    def handle(self):
        count = 0
        while data := self.request.recv(4096):
            count += len(data)
            self.request.sendall(data if count < 10000 else data[:-1] + bytes([data[-1] ^ 1]))


class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        data, connection = self.request
        connection.sendto(data, self.client_address)


class Threading(socketserver.ThreadingTCPServer):
    request_queue_size = 4096
    daemon_threads = True


class Forking(socketserver.ForkingTCPServer):
    request_queue_size = 4096
    max_children = 100000


class Protocol(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


def announce(bound):
    scheme = "udp" if kind == "udp" else "tcp"
    print(f"echo {scheme}:{bound[0]}:{bound[1]}\nready", flush=True)


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Protocol, host, int(port), backlog=4096)
    announce(server.sockets[0].getsockname())
    await server.serve_forever()


if kind == "asyncio":
    asyncio.run(serve())
else:
    classes = {"threading": (Threading, Stream), "forking": (Forking, Stream), "liar": (Threading, Lie),
               "udp": (socketserver.UDPServer, Datagram)}
    server_class, handler = classes[kind]
    with server_class((host, int(port)), handler) as server:
        announce(server.server_address)
        server.serve_forever()
