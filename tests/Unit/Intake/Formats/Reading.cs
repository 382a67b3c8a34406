using System.Text;
using Gongzhi.Core.Intake.Formats;
using Xunit;

namespace Gongzhi.Tests.Unit.Intake.Formats;

/// <summary>A whole source read into strings, for comparing.</summary>
internal sealed record Read(IReadOnlyList<string> Header, List<string[]> Rows, List<CellKind[]> Kinds, List<(long Row, string Code)> Faults)
{
    public static async Task<Read> All(ICellSource source)
    {
        await using (source)
        {
            var all = new Read(source.Header, [], [], []);
            while (await source.ReadAsync(TestContext.Current.CancellationToken) is { } chunk)
            {
                using (chunk)
                {
                    chunk.Complete();
                    Assert.Equal(all.Rows.Count + 1, chunk.FirstRow);
                    Assert.InRange(chunk.Rows, 1, chunk.RowCapacity);
                    for (var r = 0; r < chunk.Rows; r++)
                    {
                        var cells = new string[chunk.Columns];
                        var kinds = new CellKind[chunk.Columns];
                        for (var c = 0; c < cells.Length; c++)
                        {
                            cells[c] = Encoding.UTF8.GetString(chunk.Cell(r, c));
                            kinds[c] = chunk.Kind(r, c);
                        }
                        all.Rows.Add(cells);
                        all.Kinds.Add(kinds);
                    }
                    foreach (var fault in chunk.Faults ?? []) all.Faults.Add((chunk.FirstRow + fault.Row, fault.Code));
                }
            }
            Assert.Null(await source.ReadAsync(TestContext.Current.CancellationToken));
            return all;
        }
    }

    public static async Task<SourceFormatException> Fails(string code, Func<Task> read)
    {
        var e = await Assert.ThrowsAsync<SourceFormatException>(read);
        Assert.Equal(code, e.Code);
        return e;
    }

    public static string TestData(string path)
    {
        var root = Environment.GetEnvironmentVariable("GONGZHI_TESTDATA");
        if (string.IsNullOrEmpty(root)) Assert.Skip("set GONGZHI_TESTDATA");
        return Path.Combine(root, path);
    }
}

/// <summary>Gives its bytes in pieces of the sizes told, over and over.</summary>
internal sealed class PiecesStream(byte[] bytes, params int[] sizes) : MemoryStream(bytes)
{
    private int _piece;

    public override bool CanSeek => false;

    public override int Read(Span<byte> buffer) => base.Read(buffer[..Next(buffer.Length)]);

    public override int Read(byte[] buffer, int offset, int count) => base.Read(buffer, offset, Next(count));

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => new(Read(buffer.Span));

    private int Next(int room) => sizes.Length == 0 ? room : Math.Min(room, Math.Max(1, sizes[_piece++ % sizes.Length]));
}
