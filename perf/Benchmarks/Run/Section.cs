namespace Gongzhi.Perf;

/// <summary>One row of the table. <paramref name="Met"/> is null for a figure that has no goal.</summary>
internal sealed record Line(string Id, string What, string Ours, string Peer, string Ratio, string Goal, bool? Met);

/// <summary>What one figure found: its rows, and in words where the time goes and what the reader must know.</summary>
internal sealed record Section(string Id, string Title, IReadOnlyList<Line> Lines, IReadOnlyList<string> Notes);
