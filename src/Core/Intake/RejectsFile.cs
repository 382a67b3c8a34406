using System.Buffers;
using System.Globalization;
using System.Text;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;

namespace Gongzhi.Core.Intake;

/// <summary>
/// The rows a partial contribution left out: a CSV named by the receipt, with row, field, code and the sentence in both languages but never the
/// value, since whoever downloads it later need not be who contributed, nor read the same language.
/// </summary>
public sealed class RejectsFile : IDisposable
{
    /// <summary>Errors listed for one contribution: its file is about 200 MB then, and a short bad row must not cost ten times its bytes on the disk.</summary>
    public const int ErrorsMax = 1_000_000;

    private readonly World _world;
    private readonly string _temporary;
    private readonly string _final;
    private readonly StreamWriter _writer;
    private bool _finished;

    private RejectsFile(World world, string final)
    {
        _world = world;
        _final = final;
        _temporary = final + ".tmp";
        _writer = new StreamWriter(_temporary, append: false, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false)) { NewLine = "\r\n" };
        _writer.WriteLine("row,field,code,message,message:zh");
    }

    public static RejectsFile Create(World world, Guid receipt)
    {
        Directory.CreateDirectory(world.RejectDirectory);
        return new RejectsFile(world, PathOf(world, receipt));
    }

    public static string PathOf(World world, Guid receipt) => Path.Combine(world.RejectDirectory, $"{receipt:D}.csv");

    /// <summary>Its name among the files that machines share.</summary>
    internal static string KeyOf(Guid receipt) => $"rejects/{receipt:D}.csv";

    /// <summary>The path of a receipt's list on this machine, brought here from the one that wrote it if need be; null when there is none.</summary>
    public static async Task<string?> FindAsync(World world, ISegmentStore store, Guid receipt, CancellationToken cancel)
    {
        var path = PathOf(world, receipt);
        if (File.Exists(path))
            return path;
        Directory.CreateDirectory(world.RejectDirectory);
        return store.Files is { } files && await files.FetchAsync(KeyOf(receipt), path, cancel).ConfigureAwait(false) is not null ? path : null;
    }

    public void Write(IEnumerable<RowError> errors)
    {
        foreach (var e in errors)
            _writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{e.Row},{Quote(e.Field ?? "")},{e.Code},{Quote(e.Why.English)},{Quote(e.Why.Chinese)}"));
    }

    /// <summary>Writes the list of a receipt for a reader of that language, as CSV with row, field, code and message.</summary>
    public static async Task CopyAsync(string path, Stream to, CultureInfo culture, CancellationToken cancel)
    {
        var file = File.OpenRead(path);
        await using var _ = file.ConfigureAwait(false);
        var source = await CsvSource.OpenAsync(file, cancel: cancel).ConfigureAwait(false);
        await using var __ = source.ConfigureAwait(false);
        // A list from before there were two languages has the one.
        var message = culture.TwoLetterISOLanguageName == "zh" && source.Header.Count > 4 ? 4 : 3;
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new CsvWriter(buffer);
        writer.Header(source.Header.Take(4));
        while (await source.ReadAsync(cancel).ConfigureAwait(false) is { } chunk)
        {
            using (chunk)
            {
                for (var r = 0; r < chunk.Rows; r++)
                {
                    for (var c = 0; c < 4; c++)
                        writer.Cell(chunk.Cell(r, c == 3 ? message : c));
                    writer.EndRow();
                }
            }
            await to.WriteAsync(buffer.WrittenMemory, cancel).ConfigureAwait(false);
            buffer.ResetWrittenCount();
        }
        await to.WriteAsync(buffer.WrittenMemory, cancel).ConfigureAwait(false);
    }

    public void Finish()
    {
        _world.Durably("flush rejects", () =>
        {
            _writer.Flush();
            ((FileStream)_writer.BaseStream).Flush(flushToDisk: true);
        });
        _writer.Dispose();
        DurableFile.Publish(_world, _temporary, _final);
        _finished = true;
    }

    /// <summary>Removes the finished file again, when its batch was surely not kept.</summary>
    public void Discard() => File.Delete(_final);

    public void Dispose()
    {
        if (_finished)
            return;
        try
        {
            _writer.Dispose();
        }
        catch (IOException)
        {
            // It writes what it still holds, into a file that is given up.
        }
        File.Delete(_temporary);
        File.Delete(_final);
    }

    private static string Quote(string text) =>
        text.AsSpan().IndexOfAny("\",\r\n") < 0 ? text : $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
}
