namespace Gongzhi.SampleCity;

/// <summary>Something put into the data on purpose, for analyses to find and tests to check them against.</summary>
/// <param name="Id">Stable name of the truth.</param>
/// <param name="Dataset">Id of the dataset it is in.</param>
/// <param name="Title">What is to be found.</param>
/// <param name="Places">Codes of the places concerned; empty if it is not bound to places.</param>
/// <param name="From">Start, included.</param>
/// <param name="Until">End, excluded.</param>
/// <param name="Rows">Primary keys of the rows concerned, parts joined by <c>|</c>. For rows left out: the keys that are missing.</param>
/// <param name="Groups">
/// For truths about rows that belong together (a payment in parts): the keys of each group; otherwise empty.
/// </param>
public sealed record PlantedTruth(
    string Id, string Dataset, Bilingual Title, IReadOnlyList<string> Places, DateTimeOffset From, DateTimeOffset Until,
    IReadOnlyList<string> Rows, IReadOnlyList<IReadOnlyList<string>> Groups);
