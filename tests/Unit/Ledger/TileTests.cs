using CsCheck;
using Gongzhi.Ledger;
using Xunit;

namespace Gongzhi.Tests.Unit.Ledger;

public sealed class TileTests
{
    [Theory]
    [InlineData(0, 1234067, 256, "tile/0/x001/x234/067")]
    [InlineData(1, 0, 17, "tile/1/000.p/17")]
    [InlineData(-1, 273, 112, "tile/entries/273.p/112")]
    [InlineData(63, 999, 256, "tile/63/999")]
    [InlineData(0, 1000, 1, "tile/0/x001/000.p/1")]
    public void Paths_are_those_of_the_specification(int level, long index, int width, string path)
    {
        Assert.Equal(path, new TileId(level, index, width).ToString());
        Assert.True(TilePath.TryParse(path, out var tile));
        Assert.Equal(new TileId(level, index, width), tile);
    }

    [Fact]
    public void Paths_read_back() => Gen.Int[-1, 63].Select(Gen.Long[0, long.MaxValue >> 8], Gen.Int[1, 256]).Sample((level, index, width) =>
        TilePath.TryParse(new TileId(level, index, width).ToString(), out var tile) && tile == new TileId(level, index, width));

    [Theory]
    [InlineData("tile/64/000")]
    [InlineData("tile/00/000")]
    [InlineData("tile/0/0")]
    [InlineData("tile/0/x000/001")]
    [InlineData("tile/0/001/002")]
    [InlineData("tile/0/000.p/256")]
    [InlineData("tile/0/000.p/0")]
    [InlineData("tile/0/000.p/01")]
    [InlineData("tile/0/../../secret")]
    [InlineData("tile/0/000/")]
    [InlineData("/tile/0/000")]
    [InlineData("checkpoint")]
    [InlineData("tile/data/000")]
    [InlineData("tile/0/x999/x999/x999/x999/x999/x999/x999/999")]
    public void Other_spellings_are_refused(string path) => Assert.False(TilePath.TryParse(path, out _));

    [Fact]
    public async Task A_store_reads_and_writes_nothing_beside_the_log()
    {
        using var fixture = new LogFixture();
        foreach (var path in new[] { "../state/tree", "tile/../x", "a", "/etc/passwd", "tile/0/000.p/../../x" })
        {
            await Assert.ThrowsAsync<ArgumentException>(async () => await fixture.Store.ReadAsync(path, 10, CancellationToken.None));
            await Assert.ThrowsAsync<ArgumentException>(async () => await fixture.Store.WriteAsync([new TileFile(path, new byte[1])], CancellationToken.None));
        }
    }

    [Fact]
    public void Bundles_read_back_and_truncated_ones_are_refused() => Gen.Byte.Array[0, 300].Array[1, 256].Sample(entries =>
    {
        var bytes = EntryBundle.Encode([.. entries.Select(entry => (ReadOnlyMemory<byte>)entry)]);
        Assert.True(EntryBundle.TryDecode(bytes, entries.Length, out var read));
        Assert.Equal(entries, read.Select(entry => entry.ToArray()));
        Assert.False(EntryBundle.TryDecode(bytes.AsMemory(0, bytes.Length - 1), entries.Length, out _));
        Assert.False(EntryBundle.TryDecode(bytes, entries.Length - 1, out _));
        Assert.True(EntryBundle.TryDecode(bytes, entries.Length - 1, out _, exact: false));
    }, iter: 100);
}
