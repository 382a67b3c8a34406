using System.Security.Cryptography;
using CsCheck;
using Gongzhi.Ledger;
using Xunit;

namespace Gongzhi.Tests.Unit.Ledger;

public sealed class Sha256BatchTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(8)]
    [InlineData(16)]
    public void Every_width_agrees_with_the_platform_on_any_messages(int lanes) =>
        Gen.Byte.Array[0, 300].Array[0, 70].Sample(messages =>
        {
            var (buffer, starts, lengths) = Lay(messages);
            var digests = new byte[messages.Length * 32];
            Sha256Batch.HashManyWith(lanes, buffer, starts, lengths, digests);
            for (var i = 0; i < messages.Length; i++)
                Assert.Equal(SHA256.HashData(messages[i]), digests[(i * 32)..((i + 1) * 32)]);
        }, iter: 200);

    [Fact]
    public void Long_messages_and_every_padding_boundary_agree_with_the_platform()
    {
        var messages = Enumerable.Range(0, 260).Concat([4095, 65_535, 262_000, 262_136, 262_143, 262_144, 300_000, 300_001])
            .Select(length => Enumerable.Range(0, length).Select(i => (byte)(i * 31 + length)).ToArray())
            .SelectMany(message => new[] { message, message, message, message }).ToArray();
        var (buffer, starts, lengths) = Lay(messages);
        var digests = new byte[messages.Length * 32];
        Sha256Batch.HashMany(buffer, starts, lengths, digests);
        for (var i = 0; i < messages.Length; i++)
            Assert.Equal(SHA256.HashData(messages[i]), digests[(i * 32)..((i + 1) * 32)]);
    }

    [Fact]
    public void Pairs_are_interior_nodes_also_in_place() =>
        Gen.Byte.Array[32].Array[0, 90].Sample(hashes =>
        {
            var nodes = hashes.Take(hashes.Length / 2 * 2).SelectMany(hash => hash).ToArray();
            var expected = hashes.Take(hashes.Length / 2 * 2).Chunk(2)
                .SelectMany(pair => SHA256.HashData([0x01, .. pair[0], .. pair[1]])).ToArray();
            var parents = new byte[nodes.Length / 2];
            Sha256Batch.HashPairs(nodes, parents);
            Assert.Equal(expected, parents);
            Sha256Batch.HashPairs(nodes, nodes);
            Assert.Equal(expected, nodes[..expected.Length]);
        }, iter: 200);

    [Fact]
    public void Ranges_outside_the_buffer_are_refused()
    {
        Assert.Throws<ArgumentException>(() => Sha256Batch.HashMany(new byte[4], [1], [4], new byte[32]));
        Assert.Throws<ArgumentException>(() => Sha256Batch.HashMany(new byte[4], [-1], [1], new byte[32]));
        Assert.Throws<ArgumentException>(() => Sha256Batch.HashMany(new byte[4], [int.MaxValue], [int.MaxValue], new byte[32]));
        Assert.Throws<ArgumentException>(() => Sha256Batch.HashMany(new byte[4], [0, 1], [1, 1], new byte[63]));
        Assert.Throws<ArgumentException>(() => Sha256Batch.HashPairs(new byte[63], new byte[32]));
    }

    private static (byte[] Buffer, int[] Starts, int[] Lengths) Lay(byte[][] messages)
    {
        var starts = new int[messages.Length];
        var at = 0;
        for (var i = 0; i < messages.Length; i++) (starts[i], at) = (at, at + messages[i].Length);
        return ([.. messages.SelectMany(message => message)], starts, [.. messages.Select(message => message.Length)]);
    }
}
