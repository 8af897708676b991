// Go: a goroutine for each connection; datagrams one by one. PROGRAM ADDRESS, as the others.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"strings"
)

func serve(connection net.Conn) {
	buffer := make([]byte, 16384)
	defer connection.Close()
	for {
		n, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err = connection.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func serveDatagrams(socket *net.UDPConn) {
	buffer := make([]byte, 65536)
	for {
		n, from, err := socket.ReadFromUDPAddrPort(buffer)
		if err == nil {
			socket.WriteToUDPAddrPort(buffer[:n], from)
		}
	}
}

func announce(scheme string, address net.Addr) {
	fmt.Printf("echo %s:%s\nready\n", scheme, address)
	os.Stdout.Close()
}

func main() {
	scheme, place, _ := strings.Cut(os.Args[len(os.Args)-1], ":")
	if scheme == "udp" {
		address, err := net.ResolveUDPAddr(scheme, place)
		if err != nil {
			log.Fatal(err)
		}
		socket, err := net.ListenUDP(scheme, address)
		if err != nil {
			log.Fatal(err)
		}
		announce(scheme, socket.LocalAddr())
		serveDatagrams(socket)
	}
	listener, err := net.Listen(scheme, place)
	if err != nil {
		log.Fatal(err)
	}
	announce(scheme, listener.Addr())
	for {
		connection, err := listener.Accept()
		if err == nil {
			go serve(connection)
		}
	}
}
