using Microsoft.Net.Http.Headers;

namespace Gongzhi.Capabilities.Http;

/// <summary>Which of several forms of an answer a request prefers (RFC 9110, section 12.5.1).</summary>
public static class Accepted
{
    private const int RangesMax = 100;

    /// <summary>
    /// The index of the form to answer with: of the highest quality; among equals the one named most exactly, then the one named first, then the one offered
    /// first. Null when the request accepts none of them, or its header cannot be read.
    /// </summary>
    /// <param name="request">No Accept header accepts everything.</param>
    /// <param name="offered">Media types without parameters, the preferred first.</param>
    public static int? Best(HttpRequest request, IReadOnlyList<string> offered)
    {
        var header = request.Headers.Accept;
        if (header.All(string.IsNullOrWhiteSpace))
            return 0;
        if (!MediaTypeHeaderValue.TryParseList([.. header.OfType<string>()], out var ranges) || ranges.Count > RangesMax)
            return null;
        (double Quality, int Exactness, int Order)? best = null;
        int? chosen = null;
        for (var i = 0; i < offered.Count; i++)
        {
            if (Rank(ranges, new MediaTypeHeaderValue(offered[i])) is not { Quality: > 0 } rank || (best is { } b && rank.CompareTo(b) <= 0))
                continue;
            (best, chosen) = (rank, i);
        }
        return chosen;
    }

    // The most exact range that covers a form speaks for it, whatever the others say.
    private static (double Quality, int Exactness, int Order)? Rank(IList<MediaTypeHeaderValue> ranges, MediaTypeHeaderValue form)
    {
        (double Quality, int Exactness, int Order)? found = null;
        for (var i = 0; i < ranges.Count; i++)
        {
            var range = ranges[i];
            var exactness = range.MatchesAllTypes ? 0 : range.MatchesAllSubTypes ? 1 : 2;
            var covers = range.MatchesAllTypes || (range.Type.Equals(form.Type, StringComparison.OrdinalIgnoreCase)
                && (range.MatchesAllSubTypes || range.SubType.Equals(form.SubType, StringComparison.OrdinalIgnoreCase)));
            if (covers && (found is null || exactness > found.Value.Exactness))
                found = (range.Quality ?? 1, exactness, -i);
        }
        return found;
    }
}
