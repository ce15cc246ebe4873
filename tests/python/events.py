"""Reads TensorBoard's event file by TensorFlow's formats, with struct alone.   events.py FILE

It prints a line "step tag value" for each scalar, and "restart step" where a session begins."""
import struct, sys

TABLE = []
for i in range(256):
    for _ in range(8):
        i = (i >> 1) ^ (0x82F63B78 if i & 1 else 0)
    TABLE.append(i)


def masked(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(key & 7)
            if size is None:
                assert key & 7 == 2
                size, at = varint(data, at)
            assert at + size <= len(data)
            value, at = data[at : at + size], at + size
        yield key >> 3, value


data, at, first = open(sys.argv[1], "rb").read(), 0, True
while at < len(data):
    (length,) = struct.unpack_from("<Q", data, at)
    assert struct.unpack_from("<I", data, at + 8)[0] == masked(data[at : at + 8])
    record = data[at + 12 : at + 12 + length]
    assert len(record) == length and struct.unpack_from("<I", data, at + 12 + length)[0] == masked(record)
    at += 16 + length
    event = dict(fields(record))
    assert struct.unpack("<d", event[1])[0] > 1.6e9
    if first:
        assert event[3] == b"brain.Event:2"
        first = False
    if 7 in event:
        assert dict(fields(event[7])) == {1: 1}
        print("restart", event[2])
    for number, value in fields(event.get(5, b"")):
        assert number == 1
        scalar = dict(fields(value))
        print(event[2], scalar[1].decode(), repr(struct.unpack("<f", scalar[2])[0]))
