using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using DuckDB.NET.Data;
using Gongzhi.Core.Query;
using Gongzhi.Privacy;
using Xunit;

namespace Gongzhi.Tests.Unit.Query;

/// <summary>The functions inside DuckDB against what they are defined by: the masks of Gongzhi.Privacy, and SHA-256.</summary>
public sealed class TransformFunctionTests : IDisposable
{
    private static readonly byte[] Key = [.. Enumerable.Range(7, 32).Select(i => (byte)i)];
    private readonly DuckDBConnection _duck = new("DataSource=:memory:");

    public TransformFunctionTests()
    {
        _duck.Open();
        TransformFunctions.Register(_duck);
        Run("CREATE TABLE texts (n INTEGER, t VARCHAR)");
        var random = new Random(11);
        string[] characters = ["a", "7", "王", "é", "😀", "\u0301", " "];
        using var appender = _duck.CreateAppender("texts");
        // More than a vector, with every short length, absent values, and one far larger than a vector's others together.
        for (var n = 0; n < 5_000; n++)
        {
            var text = n % 13 == 5 ? null : n == 3_000 ? new string('长', 400_000) : string.Concat(Enumerable.Range(0, n % 41).Select(_ => characters[random.Next(n % 2 == 0 ? 2 : characters.Length)]));
            appender.CreateRow().AppendValue((int?)n).AppendValue(text).EndRow();
        }
    }

    public void Dispose() => _duck.Dispose();

    [Theory]
    [InlineData(TransformFunctions.MaskName, "name")]
    [InlineData(TransformFunctions.MaskPhone, "phone")]
    [InlineData(TransformFunctions.MaskIdentityNumber, "identity-number")]
    [InlineData(TransformFunctions.MaskCard, "card")]
    public void A_mask_says_what_its_definition_says(string function, string mask)
    {
        Assert.Equal(5_000, Each($"{function}(t)", (text, shown) => Assert.Equal(Masks.Apply(mask, text), shown)));
        // Rows left out before, so that the vector does not begin where the table does; and one value for all rows.
        Assert.Equal(1_666, Each($"{function}(t)", (text, shown) => Assert.Equal(Masks.Apply(mask, text), shown), "WHERE n % 3 = 2"));
        Assert.Equal(5_000, Each($"{function}('13812345678901')", (_, shown) => Assert.Equal(Masks.Apply(mask, "13812345678901"), shown)));
        Assert.Equal(5_000, Each($"{function}(NULL::VARCHAR)", (_, shown) => Assert.Null(shown)));
    }

    [Fact]
    public void Masked_values_are_the_same_to_DuckDB_as_texts_of_its_own()
    {
        foreach (var function in (string[])[TransformFunctions.MaskName, TransformFunctions.MaskPhone, TransformFunctions.MaskIdentityNumber, TransformFunctions.MaskCard])
        {
            Assert.Equal(Scalar($"SELECT count(*) FROM (SELECT DISTINCT {function}(t) || '' FROM texts)"), Scalar($"SELECT count(*) FROM (SELECT DISTINCT {function}(t) FROM texts)"));
            Assert.Equal(5_000L, Scalar($"SELECT count(*) FROM texts WHERE {function}(t) IS NOT DISTINCT FROM {function}(t) || ''"));
        }
    }

    [Fact]
    public void A_pseudonym_is_the_keyed_hash()
    {
        var key = $"unhex('{Convert.ToHexString(Key)}')";
        Assert.Equal(5_000, Each($"{TransformFunctions.Pseudonym}({key}, t)", (text, shown) =>
            Assert.Equal(text is null ? null : Convert.ToHexStringLower(SHA256.HashData([.. Key, .. Encoding.UTF8.GetBytes(text)]))[..32], shown)));
        // As the guide writes it in SQL.
        Assert.Equal(5_000L, Scalar($"SELECT count(*) FROM texts WHERE {TransformFunctions.Pseudonym}({key}, t) IS NOT DISTINCT FROM left(sha256({key} || encode(t)), 32)"));
    }

    [Fact]
    public void The_order_of_a_grant_is_one_number_for_each_record_and_another_under_another_key()
    {
        Assert.Equal(5_000L, Scalar($"SELECT count(DISTINCT {TransformFunctions.Order}('a'::BLOB, '\\x00\\x01'::BLOB, n)) FROM texts"));
        Assert.Equal(0L, Scalar($"SELECT count(*) FROM texts WHERE {TransformFunctions.Order}('a'::BLOB, '\\x00'::BLOB, n) = {TransformFunctions.Order}('b'::BLOB, '\\x00'::BLOB, n)"));
        Assert.Equal(5_000L, Scalar($"SELECT count({TransformFunctions.Order}('a'::BLOB, '\\x00'::BLOB, n)) FROM texts"));
        var digest = SHA256.HashData([(byte)'a', 9, 0, 0, 0, 4]);
        var expected = System.Buffers.Binary.BinaryPrimitives.ReadInt128BigEndian(digest).ToString(CultureInfo.InvariantCulture);
        Assert.Equal(expected, Scalar($"SELECT {TransformFunctions.Order}('a'::BLOB, '\\x09'::BLOB, 4)::VARCHAR"));
        Assert.Equal(DBNull.Value, Scalar($"SELECT {TransformFunctions.Order}('a'::BLOB, NULL::BLOB, 4)"));
    }

    private int Each(string shown, Action<string?, string?> check, string where = "")
    {
        using var command = _duck.CreateCommand();
        command.CommandText = $"SELECT t, {shown} FROM texts {where} ORDER BY n";
        using var rows = command.ExecuteReader();
        var count = 0;
        for (; rows.Read(); count++)
            check(rows.IsDBNull(0) ? null : rows.GetString(0), rows.IsDBNull(1) ? null : rows.GetString(1));
        return count;
    }

    private object? Scalar(string sql)
    {
        using var command = _duck.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar();
    }

    private void Run(string sql) => Scalar(sql);
}
