# A unix datagram socket as systemd has it: prints every datagram on a line, and ends with the one that says STOPPING.
import socket, sys
listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
path = sys.argv[1]
listening.bind("\0" + path[1:] if path.startswith("@") else path)
print("listening", flush=True)
while True:
    said = listening.recv(4096).decode().replace("\n", " ")
    print(said, flush=True)
    if "STOPPING" in said:
        break
