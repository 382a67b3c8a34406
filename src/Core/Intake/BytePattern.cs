namespace Gongzhi.Core.Intake;

/// <summary>
/// The patterns that codes have (<c>^9901[0-9]{12}$</c>), matched on bytes: literal ASCII characters and classes, each with a count. A pattern of
/// any other form is for <see cref="System.Text.RegularExpressions.Regex"/>, which needs the text as a string and takes ten times as long.
/// </summary>
internal sealed class BytePattern
{
    private const int CountMax = 4_096;

    private readonly (UInt128 Set, int Min, int Max)[] _atoms;

    private BytePattern((UInt128 Set, int Min, int Max)[] atoms) => _atoms = atoms;

    /// <summary>The pattern as this class can match it, anchored at both ends; null when it takes a regular expression.</summary>
    public static BytePattern? TryCreate(string pattern)
    {
        var text = pattern.AsSpan();
        if (text.StartsWith("^"))
            text = text[1..];
        if (text.EndsWith("$") && !text.EndsWith("\\$"))
            text = text[..^1];
        var atoms = new List<(UInt128 Set, int Min, int Max)>();
        while (text.Length > 0)
        {
            if (!Set(ref text, out var set) || !Count(ref text, out var min, out var max))
                return null;
            atoms.Add((set, min, max));
        }
        // Taking as many as fit is right only if nothing that follows could have wanted one of them.
        for (var a = 0; a < atoms.Count; a++)
        {
            if (atoms[a].Min != atoms[a].Max && atoms.Skip(a + 1).Any(later => (later.Set & atoms[a].Set) != 0))
                return null;
        }
        return new BytePattern([.. atoms]);
    }

    public bool IsMatch(ReadOnlySpan<byte> text)
    {
        var at = 0;
        foreach (var (set, min, max) in _atoms)
        {
            var end = max < text.Length - at ? at + max : text.Length;
            var start = at;
            while (at < end && text[at] < 128 && ((set >> text[at]) & 1) != 0)
                at++;
            if (at - start < min)
                return false;
        }
        return at == text.Length;
    }

    private static bool Set(ref ReadOnlySpan<char> text, out UInt128 set)
    {
        set = 0;
        if (text[0] != '[')
        {
            if (!Plain(text[0]))
                return false;
            set = UInt128.One << text[0];
            text = text[1..];
            return true;
        }
        var close = text.IndexOf(']');
        if (close < 2)
            return false;
        var inside = text[1..close];
        text = text[(close + 1)..];
        for (var i = 0; i < inside.Length; i++)
        {
            if (!char.IsAsciiLetterOrDigit(inside[i]))
                return false;
            var last = inside[i];
            if (i + 1 < inside.Length && inside[i + 1] == '-')
            {
                if (i + 2 >= inside.Length || !char.IsAsciiLetterOrDigit(inside[i + 2]) || inside[i + 2] < inside[i])
                    return false;
                last = inside[i + 2];
            }
            for (var c = inside[i]; c <= last; c++)
                set |= UInt128.One << c;
            if (last != inside[i] || (i + 1 < inside.Length && inside[i + 1] == '-'))
                i += 2;
        }
        return true;
    }

    private static bool Count(ref ReadOnlySpan<char> text, out int min, out int max)
    {
        (min, max) = (1, 1);
        if (text.Length == 0)
            return true;
        switch (text[0])
        {
            case '?':
                (min, max) = (0, 1);
                break;
            case '*':
                (min, max) = (0, int.MaxValue);
                break;
            case '+':
                (min, max) = (1, int.MaxValue);
                break;
            case '{':
                var close = text.IndexOf('}');
                if (close < 0 || !Bounds(text[1..close], out min, out max))
                    return false;
                text = text[close..];
                break;
            default:
                return true;
        }
        text = text[1..];
        // A second mark behind the first makes it lazy or is a mistake: not ours to judge.
        return text.Length == 0 || text[0] is not ('?' or '*' or '+' or '{');
    }

    private static bool Bounds(ReadOnlySpan<char> text, out int min, out int max)
    {
        max = 0;
        var comma = text.IndexOf(',');
        if (!Number(comma < 0 ? text : text[..comma], out min))
            return false;
        if (comma < 0)
            max = min;
        else if (comma == text.Length - 1)
            max = int.MaxValue;
        else if (!Number(text[(comma + 1)..], out max))
            return false;
        return min <= max;
    }

    private static bool Number(ReadOnlySpan<char> text, out int value)
    {
        value = 0;
        return !text.ContainsAnyExceptInRange('0', '9') && int.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out value) && value <= CountMax;
    }

    private static bool Plain(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '/' or ':' or ' ' or ',' or '@' or '%' or '=' or '&';
}
