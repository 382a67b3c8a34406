namespace Gongzhi.Core.Intake.Formats;

/// <summary>What several formats say of a row that cannot be read.</summary>
internal static class RowSentences
{
    public static Sentence CellTooLong { get; } = new(
        $"A cell is longer than {FormatLimits.CellBytesMax >> 20} MiB.", $"有单元格超过 {FormatLimits.CellBytesMax >> 20} MiB。");

    public static Sentence RowTooLong { get; } = new(
        $"The row is longer than {FormatLimits.RowBytesMax >> 20} MiB.", $"该行超过 {FormatLimits.RowBytesMax >> 20} MiB。");

    public static Sentence Nul { get; } = new("A cell holds the character U+0000.", "有单元格含有字符 U+0000。");

    public static Sentence NotUtf8 { get; } = new("A cell holds bytes that are not UTF-8 text.", "有单元格的内容不是 UTF-8 文本。");
}
