/** Names of regions by ISO 3166-2 code, for the countries with the most users. */

const NAMES = {
  AT: "1 Burgenland,2 Carinthia,3 Lower Austria,4 Upper Austria,5 Salzburg,6 Styria,7 Tyrol,8 Vorarlberg,9 Vienna",
  AU: "ACT Australian Capital Territory,NSW New South Wales,NT Northern Territory,QLD Queensland,SA South Australia,TAS Tasmania,VIC Victoria,WA Western Australia",
  BE: "BRU Brussels,VLG Flanders,WAL Wallonia",
  BR: "AC Acre,AL Alagoas,AM Amazonas,AP Amapá,BA Bahia,CE Ceará,DF Distrito Federal,ES Espírito Santo,GO Goiás,MA Maranhão,MG Minas Gerais,MS Mato Grosso do Sul,MT Mato Grosso,PA Pará,PB Paraíba,PE Pernambuco,PI Piauí,PR Paraná,RJ Rio de Janeiro,RN Rio Grande do Norte,RO Rondônia,RR Roraima,RS Rio Grande do Sul,SC Santa Catarina,SE Sergipe,SP São Paulo,TO Tocantins",
  CA: "AB Alberta,BC British Columbia,MB Manitoba,NB New Brunswick,NL Newfoundland and Labrador,NS Nova Scotia,NT Northwest Territories,NU Nunavut,ON Ontario,PE Prince Edward Island,QC Quebec,SK Saskatchewan,YT Yukon",
  CH: "AG Aargau,AI Appenzell Innerrhoden,AR Appenzell Ausserrhoden,BE Bern,BL Basel-Landschaft,BS Basel-Stadt,FR Fribourg,GE Geneva,GL Glarus,GR Grisons,JU Jura,LU Lucerne,NE Neuchâtel,NW Nidwalden,OW Obwalden,SG St. Gallen,SH Schaffhausen,SO Solothurn,SZ Schwyz,TG Thurgau,TI Ticino,UR Uri,VD Vaud,VS Valais,ZG Zug,ZH Zurich",
  DE: "BB Brandenburg,BE Berlin,BW Baden-Württemberg,BY Bavaria,HB Bremen,HE Hesse,HH Hamburg,MV Mecklenburg-Western Pomerania,NI Lower Saxony,NW North Rhine-Westphalia,RP Rhineland-Palatinate,SH Schleswig-Holstein,SL Saarland,SN Saxony,ST Saxony-Anhalt,TH Thuringia",
  ES: "AN Andalusia,AR Aragon,AS Asturias,CB Cantabria,CE Ceuta,CL Castile and León,CM Castilla-La Mancha,CN Canary Islands,CT Catalonia,EX Extremadura,GA Galicia,IB Balearic Islands,MC Murcia,MD Madrid,ML Melilla,NC Navarre,PV Basque Country,RI La Rioja,VC Valencia",
  FR: "ARA Auvergne-Rhône-Alpes,BFC Bourgogne-Franche-Comté,BRE Brittany,COR Corsica,CVL Centre-Val de Loire,GES Grand Est,HDF Hauts-de-France,IDF Île-de-France,NAQ Nouvelle-Aquitaine,NOR Normandy,OCC Occitania,PAC Provence-Alpes-Côte d'Azur,PDL Pays de la Loire",
  GB: "ENG England,NIR Northern Ireland,SCT Scotland,WLS Wales",
  IN: "AP Andhra Pradesh,AS Assam,BR Bihar,CH Chandigarh,DL Delhi,GA Goa,GJ Gujarat,HR Haryana,KA Karnataka,KL Kerala,MH Maharashtra,MP Madhya Pradesh,OD Odisha,OR Odisha,PB Punjab,RJ Rajasthan,TG Telangana,TN Tamil Nadu,TS Telangana,UP Uttar Pradesh,UT Uttarakhand,WB West Bengal",
  IT: "21 Piedmont,23 Aosta Valley,25 Lombardy,32 Trentino-South Tyrol,34 Veneto,36 Friuli Venezia Giulia,42 Liguria,45 Emilia-Romagna,52 Tuscany,55 Umbria,57 Marche,62 Lazio,65 Abruzzo,67 Molise,72 Campania,75 Apulia,77 Basilicata,78 Calabria,82 Sicily,88 Sardinia",
  NZ: "AUK Auckland,CAN Canterbury,WGN Wellington",
  NL: "DR Drenthe,FL Flevoland,FR Friesland,GE Gelderland,GR Groningen,LI Limburg,NB North Brabant,NH North Holland,OV Overijssel,UT Utrecht,ZE Zeeland,ZH South Holland",
  PL: "DS Lower Silesia,KP Kuyavia-Pomerania,LB Lubusz,LD Łódź,LU Lublin,MA Lesser Poland,MZ Mazovia,OP Opole,PD Podlaskie,PK Subcarpathia,PM Pomerania,SK Świętokrzyskie,SL Silesia,WN Warmia-Masuria,WP Greater Poland,ZP West Pomerania,02 Lower Silesia,04 Kuyavia-Pomerania,06 Lublin,08 Lubusz,10 Łódź,12 Lesser Poland,14 Mazovia,16 Opole,18 Subcarpathia,20 Podlaskie,22 Pomerania,24 Silesia,26 Świętokrzyskie,28 Warmia-Masuria,30 Greater Poland,32 West Pomerania",
  US: "AK Alaska,AL Alabama,AR Arkansas,AZ Arizona,CA California,CO Colorado,CT Connecticut,DC District of Columbia,DE Delaware,FL Florida,GA Georgia,HI Hawaii,IA Iowa,ID Idaho,IL Illinois,IN Indiana,KS Kansas,KY Kentucky,LA Louisiana,MA Massachusetts,MD Maryland,ME Maine,MI Michigan,MN Minnesota,MO Missouri,MS Mississippi,MT Montana,NC North Carolina,ND North Dakota,NE Nebraska,NH New Hampshire,NJ New Jersey,NM New Mexico,NV Nevada,NY New York,OH Ohio,OK Oklahoma,OR Oregon,PA Pennsylvania,RI Rhode Island,SC South Carolina,SD South Dakota,TN Tennessee,TX Texas,UT Utah,VA Virginia,VT Vermont,WA Washington,WI Wisconsin,WV West Virginia,WY Wyoming",
};

const byCode = new Map(
  Object.entries(NAMES).flatMap(([country, list]) =>
    list.split(",").map((entry) => {
      const blank = entry.indexOf(" ");
      return [`${country}-${entry.slice(0, blank)}`, entry.slice(blank + 1)];
    }),
  ),
);

/** The name of a region; a code that is not listed stays as it is. */
export const regionName = (country, code) => byCode.get(`${country}-${code}`) ?? (code || "(empty)");
