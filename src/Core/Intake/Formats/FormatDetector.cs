namespace Gongzhi.Core.Intake.Formats;

/// <summary>What a file is.</summary>
public enum DetectedFormat
{
    Csv = 0,

    /// <summary>Newline-delimited JSON, or one JSON array of objects.</summary>
    Json = 1,
    Parquet = 2,

    /// <summary>.xlsx, or what else is a zip archive.</summary>
    Xlsx = 3,

    /// <summary>.xls, or what else is an OLE compound file (an encrypted .xlsx is one).</summary>
    Xls = 4,
    Gzip = 5,
    Arrow = 6,
}

/// <summary>Tells formats apart by content; the name and the declared type decide only when the content leaves it open.</summary>
public static class FormatDetector
{
    /// <param name="head">The first bytes; 8 suffice unless white space comes first.</param>
    /// <param name="contentType">The declared media type, if any.</param>
    /// <param name="fileName">The declared name, if any.</param>
    /// <returns>Never fails: what is nothing else is <see cref="DetectedFormat.Csv"/>, and is refused when read as such.</returns>
    public static DetectedFormat Detect(ReadOnlySpan<byte> head, string? contentType, string? fileName)
    {
        if (head.StartsWith("PAR1"u8)) return DetectedFormat.Parquet;
        if (head.StartsWith("PK\x03\x04"u8) || head.StartsWith("PK\x05\x06"u8)) return DetectedFormat.Xlsx;
        if (head.StartsWith((ReadOnlySpan<byte>)[0xD0, 0xCF, 0x11, 0xE0])) return DetectedFormat.Xls;
        if (head.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B])) return DetectedFormat.Gzip;
        if (head.StartsWith("ARROW1"u8) || head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFF, 0xFF, 0xFF])) return DetectedFormat.Arrow;
        if (head.StartsWith("\uFEFF"u8)) head = head[3..];
        var text = head.TrimStart(" \t\r\n"u8);
        if (text.IsEmpty) return SaysJson(contentType, fileName) ? DetectedFormat.Json : DetectedFormat.Csv;
        return text[0] is (byte)'{' or (byte)'[' ? DetectedFormat.Json : DetectedFormat.Csv;
    }

    private static bool SaysJson(string? contentType, string? fileName) =>
        contentType?.Contains("json", StringComparison.OrdinalIgnoreCase) == true
        || fileName?.EndsWith("json", StringComparison.OrdinalIgnoreCase) == true
        || fileName?.EndsWith("jsonl", StringComparison.OrdinalIgnoreCase) == true;
}
