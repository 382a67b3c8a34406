using Gongzhi.Core.Territory;
using Xunit;

namespace Gongzhi.Tests.Unit.Territory;

public sealed class DivisionCsvTests
{
    private static DivisionImport Read(string text) => DivisionCsv.Read(new StringReader(text));

    [Fact]
    public void A_combined_table_is_read_with_all_its_columns()
    {
        var import = Read("""
            code,name,nameEn,parent,validFrom,validTo,successors,administeredBy,lon,lat,crs,remark
            990000000000,示例省,Sample,,,,,,,,,x
            9901,市辖区,,99,,,,,,,,
            990101,"城关区",,990100,2000-01-01,,,,116.4,39.9,GCJ-02,"a,b"
            990102,旧区,,,,2020-01-01,990101;990103,,,,,
            990103,高新区,,,,,,,,,,
            990101001,一街道,,,,,,990103,,,,
            """);
        Assert.Empty(import.Errors);
        Assert.Equal(6, import.Places.Count);
        Assert.True(import.Places[1].IsPseudo);
        var district = import.Places.Single(place => place.Name == "城关区");
        Assert.Equal(CoordinateSystem.Gcj02, district.Centre!.Value.Declared);
        Assert.NotEqual(116.4, district.Centre.Value.Lon);
        Assert.Equal(["990101", "990103"], import.Places.Single(place => place.Name == "旧区").Successors.Select(code => code.ToString()));
        var index = TerritoryIndex.Build(import.Places, new DateOnly(2026, 7, 1));
        Assert.Equal(["示例省", "高新区", "一街道"], index.Path(PlaceCode.Parse("990101001")).Select(place => place.Name));
    }

    [Theory]
    [InlineData("code,name\n", "divisions.empty", 0, "")]
    [InlineData("", "divisions.column-missing", 1, "code")]
    [InlineData("code\n99\n", "divisions.column-missing", 1, "name")]
    [InlineData("code,name,code\n99,a,99\n", "divisions.column-twice", 1, "code")]
    [InlineData("code,name\n99,省\nabc,x\n", "divisions.code", 3, "code")]
    [InlineData("code,name\n99,\n", "divisions.name", 2, "name")]
    [InlineData("code,name\n99\n", "divisions.name", 2, "name")]
    [InlineData("code,name\n99,省\n9900,别\n", "divisions.duplicate", 3, "code")]
    [InlineData("code,name\n99,省\n990101,区\n", "divisions.parent-unknown", 3, "code")]
    [InlineData("code,name,parent\n99,省,\n9901,市,98\n", "divisions.parent", 3, "parent")]
    [InlineData("code,name,provinceCode\n99,省,\n9901,市,98\n", "divisions.parent", 3, "provinceCode")]
    [InlineData("code,name,validFrom\n99,省,2020-13-01\n", "divisions.date", 2, "validFrom")]
    [InlineData("code,name,validFrom,validTo\n99,省,2020-01-01,2020-01-01\n", "divisions.validity", 2, "validTo")]
    [InlineData("code,name,successors\n99,省,98\n", "divisions.validity", 2, "successors")]
    [InlineData("code,name,validTo,successors\n99,省,2020-01-01,98\n", "divisions.successor", 2, "successors")]
    [InlineData("code,name,validTo,successors\n99,省,2020-01-01,98\n98,省,2021-01-01,99\n", "divisions.successor-circle", 3, "successors")]
    [InlineData("code,name,administeredBy\n99,省,\n9901,市,990101\n990101,区,\n", "divisions.administered-circle", 4, "administeredBy")]
    [InlineData("code,name,administeredBy\n99,省,98\n", "divisions.administered-by", 2, "administeredBy")]
    [InlineData("code,name,lon,lat,crs\n99,省,116,39,\n", "divisions.crs", 2, "crs")]
    [InlineData("code,name,lon,lat,crs\n99,省,39,116,WGS-84\n", "divisions.coordinates", 2, "lon")]
    [InlineData("code,name,lon,lat,crs\n99,省,,39,WGS-84\n", "divisions.coordinates", 2, "lon")]
    public void One_error_refuses_the_whole_and_says_where(string text, string code, int row, string field)
    {
        var import = Read(text);
        Assert.Empty(import.Places);
        var error = import.Errors[0];
        Assert.Equal((code, row, field), (error.Code, error.Row, error.Field));
        Assert.EndsWith(".", error.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Broken_quoting_and_giant_rows_are_errors_and_the_list_has_an_end()
    {
        Assert.False(Read("code,name\n99,\"省\n").Ok);
        Assert.False(Read("code,name\n99," + new string('x', 1_000_000) + "\n").Ok);
        Assert.Equal(DivisionCsv.ErrorsMax, Read("code,name\n" + string.Concat(Enumerable.Repeat("x,y\n", 5000))).Errors.Count);
    }

    [Fact]
    public void A_byte_order_mark_is_no_part_of_the_first_column() => Assert.True(Read("\uFEFFcode,name\n99,省\n").Ok);

    [Fact]
    public void A_missing_file_is_named() =>
        Assert.Equal("provinces.csv", DivisionCsv.ReadFolder(Path.Combine(AppContext.BaseDirectory, "no-such-folder")).Errors[0].Source);
}
