namespace Gongzhi.Ui.Views;

/// <summary>A rejected row.</summary>
/// <param name="Row">1-based row of the file.</param>
/// <param name="Field">Name; null when the whole row is meant.</param>
/// <param name="Code">Stable code, such as <c>type</c>.</param>
/// <param name="Message">Sentence in the reader's language.</param>
public sealed record RejectItem(long Row, string? Field, string Code, string Message);

/// <summary>What became of an upload.</summary>
/// <param name="Partial">Good rows were kept although others were rejected.</param>
/// <param name="Kept">Rows appended: <paramref name="Accepted"/>, or 0 when one bad row refused the whole file.</param>
/// <param name="Rejects">The first of them.</param>
/// <param name="RejectsHref">All of them as a file; null when there are none.</param>
/// <param name="Receipt">Id of the receipt; null when nothing was kept.</param>
/// <param name="Faults">Everything found wrong, of which <paramref name="Rejects"/> lists the first; one row may have several.</param>
/// <param name="DatasetHref">The dataset's page.</param>
/// <param name="Repeated">The very same file had been received before: nothing was doubled.</param>
public sealed record UploadReport(
    string FileName, string Dataset, bool Partial, long Accepted, long Rejected, long Kept, IReadOnlyList<RejectItem> Rejects,
    string? RejectsHref, string? Receipt, string? ReceiptHref, DateTimeOffset At, SealModel? Seal, bool Repeated = false, long Faults = 0, string? DatasetHref = null);

/// <summary>The upload page: the form, then what became of it.</summary>
/// <param name="Action">Where the form posts (multipart; fields <c>dataset</c>, <c>mode</c> = all or partial, <c>file</c>).</param>
/// <param name="Datasets">Those the reader may contribute to; empty shows the empty state.</param>
/// <param name="Dataset">The one chosen.</param>
/// <param name="MaxBytes">Limit of the file, bytes.</param>
public sealed record UploadModel(
    string Action, IReadOnlyList<Choice> Datasets, string? Dataset, bool Partial, long MaxBytes,
    IReadOnlyList<FieldError>? Errors = null, UploadReport? Report = null, string Accept = ".csv,.ndjson,.jsonl,.xlsx,.parquet");
