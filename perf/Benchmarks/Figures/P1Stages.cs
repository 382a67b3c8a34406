using System.Diagnostics;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Ledger;
using Microsoft.Extensions.DependencyInjection;

namespace Gongzhi.Perf.Figures;

/// <summary>What each stage of a contribution costs by itself, one after another on one core.</summary>
internal static class P1Stages
{
    public static async Task<IReadOnlyList<string>> NotesAsync(BenchNode node, string path)
    {
        var dataset = await node.DefinePaymentsAsync("stages");
        var rules = node.Services.GetRequiredService<IntakeRules>();
        var directory = Path.Combine(node.World.DataDirectory, "stages");
        var batch = RecordId.NewBatch(TimeProvider.System);
        var encoder = new RowEncoder(dataset, batch, new byte[16]);
        var buffer = new EncodedRows();
        double read = 0, check = 0, encode = 0, hash = 0, write = 0;
        long rows = 0;
        var source = await CsvSource.OpenAsync(File.OpenRead(path), new SourceOptions());
        await using (source)
        {
            var reader = RowReader.For(dataset, source.Header, rules).Value!;
            using var writer = new SegmentWriter(dataset, node.World, node.Services.GetRequiredService<ISegmentStore>());
            var at = Stopwatch.GetTimestamp();
            while (await source.ReadAsync(CancellationToken.None) is { } chunk)
            {
                Lap(ref read, ref at);
                var errors = new List<RowError>();
                var checkedRows = reader.Read(chunk, Microseconds.From(TimeProvider.System.GetUtcNow()), errors);
                (checkedRows.Batch, checkedRows.FirstOrdinal) = (batch, rows);
                rows += checkedRows.Rows;
                Lap(ref check, ref at);
                encoder.Encode(checkedRows, buffer);
                Lap(ref encode, ref at);
                var leaves = new byte[checkedRows.Rows * Sha256Batch.DigestBytes];
                Sha256Batch.HashMany(buffer.Bytes, buffer.Starts.AsSpan(0, checkedRows.Rows), buffer.Lengths.AsSpan(0, checkedRows.Rows), leaves);
                Lap(ref hash, ref at);
                writer.Add(checkedRows, chunk.Dispose);
                Lap(ref write, ref at);
            }
            await writer.FinishAsync();
            Lap(ref write, ref at);
        }
        return [$"Stages by themselves on one core: read and split {Text.Seconds(read)}, check and convert {Text.Seconds(check)}, canonical bytes {Text.Seconds(encode)}, "
            + $"hashes {Text.Seconds(hash)}, segment file (columns, zstd, name, sync) {Text.Seconds(write)}; together {Text.Seconds(read + check + encode + hash + write)}."];

        static void Lap(ref double total, ref long at)
        {
            var now = Stopwatch.GetTimestamp();
            total += Stopwatch.GetElapsedTime(at, now).TotalSeconds;
            at = now;
        }
    }
}
