using Gongzhi.Core;
using Microsoft.AspNetCore.WebUtilities;

namespace Gongzhi.Capabilities.Http;

/// <summary>Lists by page: <c>limit</c> and <c>cursor</c> in, and the next page's address out as a Link header (RFC 8288).</summary>
public static class Paging
{
    public const int LimitMax = 1_000;

    /// <summary>How many to list, or what is wrong with the number asked for.</summary>
    public static Result<int> Limit(int? asked, int otherwise, int max = LimitMax) => asked switch
    {
        null => otherwise,
        < 1 => Refused(max),
        _ when asked > max => Refused(max),
        _ => asked.Value,
    };

    /// <summary>One page of a list that is in memory, in the order of its keys; says in the answer where the next one is.</summary>
    /// <param name="http">The request, whose address the next page's is made from.</param>
    /// <param name="all">In ascending order of <paramref name="key"/>, compared by ordinal.</param>
    /// <param name="key">Different for each.</param>
    /// <param name="after">The last key of the page before.</param>
    /// <param name="limit">Checked by <see cref="Limit"/>.</param>
    public static Page<T> Of<T>(HttpContext http, IEnumerable<T> all, Func<T, string> key, string? after, int limit)
    {
        var list = all.Where(item => after is null || string.CompareOrdinal(key(item), after) > 0).Take(limit + 1).ToList();
        if (list.Count <= limit)
            return new Page<T>(list, null);
        list.RemoveAt(limit);
        return new Page<T>(list, LinkNext(http, key(list[^1])));
    }

    /// <summary>Puts the address of the next page into the answer's headers; answers the cursor.</summary>
    public static string LinkNext(HttpContext http, string cursor)
    {
        var query = http.Request.Query.Where(q => q.Key is not ("cursor" or "before")).SelectMany(q => q.Value, (q, value) => KeyValuePair.Create(q.Key, value))
            .Append(KeyValuePair.Create("cursor", (string?)cursor));
        http.Response.Headers.Append("Link", $"<{QueryHelpers.AddQueryString(http.Request.PathBase + http.Request.Path, query)}>; rel=\"next\"");
        return cursor;
    }

    private static Problem Refused(int max) => Problem.BadRequest("request.limit", $"The limit is a whole number from 1 to {max}.") with
    {
        Extensions = new Dictionary<string, object?> { ["max"] = max },
    };
}

/// <param name="Next">The cursor of the next page; null on the last.</param>
public sealed record Page<T>(IReadOnlyList<T> Items, string? Next);
