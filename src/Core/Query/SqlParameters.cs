using System.Globalization;

namespace Gongzhi.Core.Query;

/// <summary>Collects bound values. The only way a value gets into SQL.</summary>
internal sealed class SqlParameters
{
    private readonly List<object?> _values = [];
    private readonly Dictionary<object, string> _seen = [];

    public IReadOnlyList<object?> Values => _values;

    /// <summary>The placeholder of <paramref name="value"/>: one of string, long, double, bool, byte[].</summary>
    public string Add(object value)
    {
        if (_seen.TryGetValue(value, out var known))
            return known;
        _values.Add(value);
        return _seen[value] = "$" + _values.Count.ToString(CultureInfo.InvariantCulture);
    }
}

/// <summary>Identifiers in SQL.</summary>
internal static class SqlName
{
    /// <summary>Quotes an identifier. Names come from a dataset's definition or are our own aliases, never from a reader.</summary>
    public static string Quote(string name) => "\"" + name.Replace("\"", "\"\"", StringComparison.Ordinal) + "\"";
}
