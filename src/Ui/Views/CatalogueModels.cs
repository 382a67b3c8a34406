namespace Gongzhi.Ui.Views;

/// <summary>
/// A dataset as a list shows it. In all view models texts are in the reader's language, and addresses are paths the
/// capability made itself: a view links to them as they are, so none may come from a file or a visitor.
/// </summary>
/// <param name="Id">Stable id.</param>
/// <param name="Title">Its name.</param>
/// <param name="Owner">Name of the owning unit.</param>
/// <param name="Href">Its page.</param>
/// <param name="Records">Rows held; null when the reader may not know.</param>
/// <param name="LastReceivedAt">When the last batch came; null when none has.</param>
public sealed record DatasetItem(
    string Id, string Title, string Owner, string Href, Sharing Sharing, Opening Opening, DataClass Class, bool Personal,
    string? Summary = null, long? Records = null, DateTimeOffset? LastReceivedAt = null);

/// <summary>The catalogue page: a search and what it found.</summary>
/// <param name="Items">This page of datasets; empty shows the empty state.</param>
/// <param name="Query">What was searched for.</param>
/// <param name="OpeningFilter">Value of the opening filter, one of the names of <see cref="Opening"/>, or null for all.</param>
/// <param name="Total">All that match.</param>
/// <param name="Action">Where the search form leads (GET, fields <c>q</c> and <c>opening</c>).</param>
/// <param name="CatalogueFileHref">The same as a DCAT file; null leaves the link out.</param>
public sealed record CatalogueModel(
    IReadOnlyList<DatasetItem> Items, string? Query, string? OpeningFilter, long Total, PagerModel Pager,
    string Action = "/data", string? CatalogueFileHref = null);

/// <summary>How carefully a field's values must be kept.</summary>
public enum FieldSensitivity
{
    /// <summary>May be seen by any reader of the dataset.</summary>
    Plain,

    /// <summary>Usually masked or generalised.</summary>
    Sensitive,

    /// <summary>Identifies a person.</summary>
    Identifying,
}

/// <summary>One field of a dataset.</summary>
/// <param name="Name">Name in files.</param>
/// <param name="Title">Name for readers; null shows the name alone.</param>
/// <param name="Type">Type in words.</param>
/// <param name="Element">Name of the element it is bound to; null when none.</param>
/// <param name="Constraints">Each constraint in words, such as "at least 0".</param>
/// <param name="Unit">Unit of measure.</param>
/// <param name="Meaning">What it means, where the name does not say it.</param>
/// <param name="Codes">The code list; null when any value may stand.</param>
public sealed record FieldItem(
    string Name, string? Title, string Type, string? Element, string? ElementHref, IReadOnlyList<string> Constraints,
    FieldSensitivity Sensitivity, string? Unit = null, string? Meaning = null, IReadOnlyList<string>? Codes = null);

/// <summary>A unit that contributes to a dataset.</summary>
public sealed record ContributorItem(string Unit, long Records, DateTimeOffset? LastReceivedAt);

/// <summary>A file of the dataset.</summary>
/// <param name="Format">Such as CSV.</param>
/// <param name="Bytes">Size; null when made on request.</param>
public sealed record DownloadItem(string Format, string Href, long? Bytes = null, string? Note = null);

/// <summary>A dataset's page.</summary>
/// <param name="Dataset">What the list shows.</param>
/// <param name="Description">Paragraph; null leaves it out.</param>
/// <param name="Version">Schema version.</param>
/// <param name="Downloads">Empty when the dataset is not open to this reader.</param>
/// <param name="AskHref">Where to ask for access; null when nobody need ask or nobody may.</param>
/// <param name="Arrivals">Rows received per period, oldest first; fewer than two draw nothing.</param>
/// <param name="ArrivalLabels">One label a period, or null.</param>
/// <param name="UploadHref">Where this reader may contribute; null when they may not.</param>
/// <param name="Seal">Proof of the latest batch; null when there is none.</param>
/// <param name="Expected">How often news is to come, in words; null where it is not said.</param>
/// <param name="Signals">What the analyses noticed and lasts, and lately did; null for a reader who may not see it.</param>
public sealed record DatasetModel(
    DatasetItem Dataset, string? Description, int Version, IReadOnlyList<FieldItem> Fields, IReadOnlyList<ContributorItem> Contributors,
    IReadOnlyList<DownloadItem> Downloads, string? AskHref, string? SchemaHref, IReadOnlyList<TimelineItem> History,
    IReadOnlyList<decimal> Arrivals, IReadOnlyList<string>? ArrivalLabels = null, string? UploadHref = null, SealModel? Seal = null,
    string CatalogueHref = "/data", string? Expected = null, IReadOnlyList<SignalItem>? Signals = null);

/// <summary>Something an analysis noticed about a dataset.</summary>
/// <param name="Text">The sentence, in the reader's language.</param>
/// <param name="Severity">In words.</param>
/// <param name="Unit">Whom it is about; null: the dataset as a whole.</param>
/// <param name="Ended">Null while it lasts.</param>
public sealed record SignalItem(string Text, string Severity, Tone Tone, string? Unit, DateTimeOffset Raised, DateTimeOffset? Ended);
