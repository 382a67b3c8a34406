using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Gongzhi.SampleCity;
using Xunit;

namespace Gongzhi.Tests.Unit.SampleCity;

public class DatasetTests
{
    private static readonly City City = City.Generate();

    /// <summary>A change here changes everybody's sample data: say so in the change log.</summary>
    [Theory]
    [InlineData("residents", "58675220de9029e1")]
    [InlineData("firms", "068080090c570765")]
    [InlineData("community-population", "e7941f6bffe04552")]
    [InlineData("service-requests", "06276ec83b4d4c50")]
    [InlineData("air-quality", "e46bb699ef810d39")]
    [InlineData("card-payments", "3f2f28bc69e41ba7")]
    public async Task Bytes_are_the_recorded_ones(string id, string sha256)
    {
        using var stream = new MemoryStream();
        await City.Generate().Dataset(id).WriteCsvAsync(stream, TestContext.Current.CancellationToken);
        Assert.Equal(sha256, Convert.ToHexStringLower(SHA256.HashData(stream.ToArray()))[..16]);
    }

    [Fact]
    public async Task Bytes_depend_on_the_seed_but_not_on_the_culture()
    {
        var before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("ar-SA");
            Assert.Equal(await Csv(City, "air-quality"), await Csv(City.Generate(), "air-quality"));
            Assert.NotEqual(await Csv(City, "air-quality"), await Csv(City.Generate(1), "air-quality"));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Theory]
    [InlineData("residents", 195_000, 205_000)]
    [InlineData("firms", 9_000, 9_000)]
    [InlineData("community-population", 4_800, 4_800)]
    [InlineData("service-requests", 30_000, 30_000)]
    [InlineData("air-quality", 17_256, 17_256)]
    [InlineData("card-payments", 20_000, 20_000)]
    public async Task Csv_keeps_its_own_schema(string id, int least, int most)
    {
        var dataset = City.Dataset(id);
        var rows = (await Csv(City, id)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.InRange(rows.Length - 1, least, most);
        using var json = JsonDocument.Parse(dataset.TableSchemaJson);
        CheckRows(json.RootElement.GetProperty("schema"), rows);
        var names = dataset.Fields.Select(field => field.Name).ToHashSet();
        Assert.Contains(dataset.Time, names);
        Assert.Contains(dataset.Place, names);
        Assert.Superset(dataset.PrimaryKey.ToHashSet(), names);
    }

    [Fact]
    public void Identity_numbers_are_unique_right_and_of_the_made_up_area()
    {
        int[] weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2, 1];
        var seen = new HashSet<string>();
        foreach (var person in City.Residents())
        {
            Assert.True(seen.Add(person.Id));
            var sum = 0;
            for (var i = 0; i < 18; i++)
                sum += weights[i] * (person.Id[i] == 'X' ? 10 : person.Id[i] - '0');
            Assert.Equal(1, sum % 11);
            Assert.StartsWith("9901", person.Id);
            Assert.Equal(person.BirthDate.ToString("yyyyMMdd", CultureInfo.InvariantCulture), person.Id[6..14]);
            Assert.Equal(person.Sex == "1", person.Id[16] % 2 == 1);
            Assert.InRange(person.Updated, person.BirthDate, City.LastDay);
        }
    }

    [Fact]
    public void Credit_codes_are_unique_and_right()
    {
        const string Alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY";
        Assert.Equal(9_000, City.Firms.Select(firm => firm.CreditCode).Distinct().Count());
        Assert.Equal(9_000, City.Firms.Select(firm => firm.Name).Distinct().Count());
        Assert.All(City.Firms, firm =>
        {
            var (sum, weight) = (0, 1);
            foreach (var c in firm.CreditCode[..17])
            {
                sum += Alphabet.IndexOf(c) * weight;
                weight = weight * 3 % 31;
            }
            Assert.Equal(0, (sum + Alphabet.IndexOf(firm.CreditCode[17])) % 31);
            Assert.StartsWith("919901", firm.CreditCode);
            Assert.Equal(firm.Place[..6], firm.CreditCode[2..8]);
        });
    }

    [Fact]
    public void Households_and_ages_look_like_a_town()
    {
        var residents = City.Residents().ToList();
        var size = (double)residents.Count / residents.Select(person => person.Household).Distinct().Count();
        Assert.InRange(size, 2.3, 2.9);
        double Share(int from, int to) => (double)residents.Count(person =>
            City.LastDay.Year - person.BirthDate.Year >= from && City.LastDay.Year - person.BirthDate.Year < to) / residents.Count;
        Assert.InRange(Share(0, 15), 0.10, 0.25);
        Assert.InRange(Share(15, 60), 0.45, 0.70);
        Assert.InRange(Share(60, 120), 0.15, 0.35);
        Assert.All(residents.GroupBy(person => person.Household), household => Assert.Single(household.Select(person => person.Community).Distinct()));
    }

    [Fact]
    public void Elements_name_lists_that_exist()
    {
        Assert.Equal(SampleElements.All.Count, SampleElements.All.Select(element => element.Id).Distinct().Count());
        Assert.All(SampleElements.All, element => Assert.True(element.CodeList is null || SampleElements.GetCodeList(element.CodeList).Codes.Count > 1));
        Assert.All(SampleElements.CodeLists, list => Assert.Equal(list.Codes.Count, list.Codes.Select(code => code.Code).Distinct().Count()));
    }

    private static async Task<string> Csv(City city, string id)
    {
        using var stream = new MemoryStream();
        await city.Dataset(id).WriteCsvAsync(stream, TestContext.Current.CancellationToken);
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    /// <summary>Checks header, types, constraints, codes and keys. The sample holds no quotes, so that commas separate.</summary>
    internal static void CheckRows(JsonElement schema, string[] rows)
    {
        var fields = schema.GetProperty("fields").EnumerateArray().ToArray();
        Assert.Equal(fields.Select(field => field.GetProperty("name").GetString()), rows[0].Split(','));
        var checks = fields.Select(Check).ToArray();
        var keyNames = schema.GetProperty("primaryKey").EnumerateArray().Select(key => key.GetString()).ToHashSet();
        int[] key = [.. Enumerable.Range(0, fields.Length).Where(i => keyNames.Contains(fields[i].GetProperty("name").GetString()))];
        var keys = new HashSet<string>();
        foreach (var row in rows.Skip(1))
        {
            Assert.False(row.Contains('"', StringComparison.Ordinal));
            var cells = row.Split(',');
            Assert.Equal(fields.Length, cells.Length);
            for (var i = 0; i < cells.Length; i++)
            {
                if (!checks[i](cells[i]))
                    Assert.Fail($"'{cells[i]}' does not fit {fields[i]}");
            }
            Assert.True(keys.Add(string.Join('|', key.Select(i => cells[i]))), row);
        }
    }

    private static Func<string, bool> Check(JsonElement field)
    {
        var constraints = field.GetProperty("constraints");
        var required = constraints.GetProperty("required").GetBoolean();
        var pattern = constraints.TryGetProperty("pattern", out var text) ? new Regex(text.GetString()!) : null;
        var codes = constraints.TryGetProperty("enum", out var list) ? list.EnumerateArray().Select(code => code.GetString()!).ToHashSet() : null;
        var minimum = constraints.TryGetProperty("minimum", out var low) ? low.GetDecimal() : decimal.MinValue;
        var type = field.GetProperty("type").GetString()!;
        var scale = field.TryGetProperty("scale", out var digits) ? digits.GetInt32() : 0;
        return cell => cell.Length == 0
            ? !required
            : (pattern?.IsMatch(cell) ?? true) && (codes?.Contains(cell) ?? true) && type switch
            {
                "integer" => long.Parse(cell, CultureInfo.InvariantCulture) >= minimum,
                "number" => cell.Length - cell.IndexOf('.') - 1 == scale && decimal.Parse(cell, CultureInfo.InvariantCulture) >= minimum,
                "date" => DateOnly.TryParseExact(cell, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out _),
                "datetime" => cell.EndsWith("+08:00", StringComparison.Ordinal) && DateTimeOffset.TryParse(cell, CultureInfo.InvariantCulture, out _),
                "yearmonth" => Regex.IsMatch(cell, "^20[0-9]{2}-(0[1-9]|1[0-2])$"),
                "place" => City.Place(cell) is not null,
                _ => true,
            };
    }
}
