using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Catalog.ElementTypes;

namespace Gongzhi.Core.Intake;

/// <summary>The constraints of one field, made ready.</summary>
internal sealed class FieldRule
{
    private readonly Field _field;
    private readonly BytePattern? _simple;
    private readonly Regex? _pattern;
    private readonly byte[][]? _enum;
    private readonly HashSet<string>? _largeEnum;
    private readonly ElementCheck? _element;
    private readonly ValueParser.Fault _outOfRange;
    private readonly ValueParser.Fault _notListed;

    // By the bytes a value has, so that a text is not made for each.
    private readonly HashSet<byte[]>.AlternateLookup<ReadOnlySpan<byte>>? _codes;

    public FieldRule(Field field, IntakeRules intake, bool required)
    {
        Required = required;
        _field = field;
        var c = field.Constraints;
        _simple = c.Pattern is null ? null : BytePattern.TryCreate(c.Pattern);
        // \z and not $, which would let a newline behind the text pass.
        _pattern = c.Pattern is null || _simple is not null ? null : new Regex($@"\A(?:{c.Pattern})\z", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        if (c.Enum is { Count: <= 16 })
            _enum = [.. c.Enum.Select(Encoding.UTF8.GetBytes)];
        else if (c.Enum is not null)
            _largeEnum = [.. c.Enum];
        _element = field.ElementType is null ? null : intake.ElementTypes(field.ElementType);
        if (field.Element is not null && field.Type != FieldType.Place && intake.ElementCodes(field.Element) is { } codes)
            _codes = new HashSet<byte[]>(codes.Select(Encoding.UTF8.GetBytes), new ByteText()).GetAlternateLookup<ReadOnlySpan<byte>>();
        (_outOfRange, _notListed) = (OutOfRange(field), NotListed(c.Enum ?? []));
        HasTextRules = _codes is not null || c.Pattern is not null || c.Enum is not null || c.MinLength is not null || c.MaxLength is not null || _element is not null;
        HasScalarRules = c.MinimumInt64 is not null || c.MaximumInt64 is not null || c.MinimumDouble is not null || c.MaximumDouble is not null || c.Enum is not null || _codes is not null;
    }

    public bool Required { get; }
    public bool HasTextRules { get; }
    public bool HasScalarRules { get; }

    public ValueParser.Fault? CheckText(ReadOnlySpan<byte> text, DateOnly today)
    {
        var c = _field.Constraints;
        if (c.MinLength is not null || c.MaxLength is not null)
        {
            var length = 0;
            foreach (var b in text)
                length += (b & 0xC0) != 0x80 ? 1 : 0;
            if (length < c.MinLength)
                return new("length", $"The text is shorter than {c.MinLength} characters.", $"文本少于 {c.MinLength} 个字符。");
            if (length > c.MaxLength)
                return new("length", $"The text is longer than {c.MaxLength} characters.", $"文本超过 {c.MaxLength} 个字符。");
        }
        if (CheckEnum(text) is { } fault)
            return fault;
        if (_simple is not null ? !_simple.IsMatch(text) : _pattern is not null && !_pattern.IsMatch(Encoding.UTF8.GetString(text)))
            return new("pattern", "The text does not have the form that the field asks for.", "不符合该字段规定的格式。");
        return _element?.Invoke(text, today) is { } wrong and not ElementFault.None ? new("element", wrong.English(), wrong.Chinese()) : null;
    }

    public ValueParser.Fault? CheckScalar(long value, ReadOnlySpan<byte> text)
    {
        var c = _field.Constraints;
        if (_field.Storage == FieldStorage.Double)
        {
            var number = BitConverter.Int64BitsToDouble(value);
            if (number < c.MinimumDouble || number > c.MaximumDouble)
                return _outOfRange;
        }
        else if (value < c.MinimumInt64 || value > c.MaximumInt64)
        {
            return _outOfRange;
        }
        return CheckEnum(text);
    }

    private ValueParser.Fault? CheckEnum(ReadOnlySpan<byte> text)
    {
        if (_codes is { } codes && !codes.Contains(text))
            return NotCode;
        if (_enum is not null)
        {
            foreach (var allowed in _enum)
            {
                if (text.SequenceEqual(allowed))
                    return null;
            }
            return _notListed;
        }
        return _largeEnum is null || _largeEnum.Contains(Encoding.UTF8.GetString(text)) ? null : _notListed;
    }

    /// <summary>Codes of a list that are written out; the rest is in the definition.</summary>
    private const int CodesNamed = 15;

    private static ValueParser.Fault OutOfRange(Field field)
    {
        var c = field.Constraints;
        var least = c.MinimumDouble?.ToString(CultureInfo.InvariantCulture) ?? Limit(field, c.MinimumInt64);
        var most = c.MaximumDouble?.ToString(CultureInfo.InvariantCulture) ?? Limit(field, c.MaximumInt64);
        return (least, most) switch
        {
            (not null, not null) => new("range", $"The value lies outside the field's limits, {least} to {most}.", $"超出允许范围：{least} 至 {most}。"),
            (not null, null) => new("range", $"The value is less than the field's least, {least}.", $"小于允许的最小值 {least}。"),
            (null, not null) => new("range", $"The value is more than the field's most, {most}.", $"大于允许的最大值 {most}。"),
            _ => new("range", "The value lies outside the field's limits.", "超出允许范围。"),
        };
    }

    /// <summary>A limit as a reader writes it; null where there is none, or its number says nothing to a reader.</summary>
    private static string? Limit(Field field, long? value) => (value, field.Type) switch
    {
        (null, _) => null,
        ({ } number, FieldType.Integer or FieldType.Year) => number.ToString(CultureInfo.InvariantCulture),
        ({ } number, FieldType.Decimal) => DecimalText.Exact(number, field.Scale).ToString(CultureInfo.InvariantCulture),
        ({ } number and > -700_000 and < 2_900_000, FieldType.Date) => DateOnly.FromDateTime(DateTime.UnixEpoch).AddDays((int)number).ToString("O", CultureInfo.InvariantCulture),
        _ => null,
    };

    private static ValueParser.Fault NotListed(IReadOnlyList<string> codes)
    {
        var more = codes.Count > CodesNamed ? "…" : "";
        return new("enum", $"The value is not in the field's code list: {string.Join(", ", codes.Take(CodesNamed))}{more}.", $"不在可选值之内：{string.Join("、", codes.Take(CodesNamed))}{more}。");
    }

    private static readonly ValueParser.Fault NotCode = new("code", "The value is not in the code list of the element to which the field is bound.", "不在字段所绑定数据元的代码表之内。");

    /// <summary>Compares texts as their bytes.</summary>
    private sealed class ByteText : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode(byte[] obj) => GetHashCode(obj.AsSpan());

        public int GetHashCode(ReadOnlySpan<byte> alternate)
        {
            var hash = new HashCode();
            hash.AddBytes(alternate);
            return hash.ToHashCode();
        }

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();
    }
}
