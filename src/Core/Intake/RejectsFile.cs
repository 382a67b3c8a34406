using System.Globalization;
using System.Text;

namespace Gongzhi.Core.Intake;

/// <summary>
/// The rows a partial contribution left out: a CSV named by the receipt, with row, field, code and sentence but never the value,
/// since whoever downloads it later need not be who contributed.
/// </summary>
public sealed class RejectsFile : IDisposable
{
    private readonly string _temporary;
    private readonly string _final;
    private readonly StreamWriter _writer;
    private bool _finished;

    private RejectsFile(string final)
    {
        _final = final;
        _temporary = final + ".tmp";
        _writer = new StreamWriter(_temporary, append: false, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false)) { NewLine = "\r\n" };
        _writer.WriteLine("row,field,code,message");
    }

    public static RejectsFile Create(World world, Guid receipt)
    {
        Directory.CreateDirectory(world.RejectDirectory);
        return new RejectsFile(PathOf(world, receipt));
    }

    public static string PathOf(World world, Guid receipt) => Path.Combine(world.RejectDirectory, $"{receipt:D}.csv");

    public void Write(IEnumerable<RowError> errors)
    {
        foreach (var e in errors)
            _writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{e.Row},{Quote(e.Field ?? "")},{e.Code},{Quote(e.Message)}"));
    }

    public void Finish()
    {
        _writer.Flush();
        ((FileStream)_writer.BaseStream).Flush(flushToDisk: true);
        _writer.Dispose();
        File.Move(_temporary, _final, overwrite: true);
        _finished = true;
    }

    public void Dispose()
    {
        if (_finished)
            return;
        _writer.Dispose();
        File.Delete(_temporary);
    }

    private static string Quote(string text) =>
        text.AsSpan().IndexOfAny("\",\r\n") < 0 ? text : $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
}
